"""Sphinx's settings for the site; `make site` runs it."""

project = "From autoencoders to scVI"
author = "The course authors"
copyright = "the course authors; text and figures CC BY 4.0, code BSD 3-Clause"  # noqa: A001
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["static"]
nb_execution_mode = "off"  # the committed outputs are the page
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "html_image"]
myst_heading_anchors = 3
myst_heading_slug_func = "course_lib.tooling.site.anchor"
myst_url_schemes = ["http", "https", "mailto"]
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static"]
html_show_sourcelink = False
html_copy_source = True
mathjax_path = "assets/mathjax/tex-svg-full.js"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
html_theme_options = {"show_toc_level": 2, "use_download_button": True, "home_page_in_toc": True}
