"""Sphinx's settings for the site; `make site` gathers what it reads, and runs it."""

import os

project = "From autoencoders to scVI"
author = "the course authors"
copyright = "the course authors; text and figures CC BY 4.0, code BSD 3-Clause"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx.ext.mathjax", "course_lib.site.extension"]
exclude_patterns = ["static", "beside", "first.md"]

nb_execution_mode = "off"  # the committed outputs are the page
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath", "linkify"]
myst_linkify_fuzzy_links = False  # addresses with their https:// alone
myst_dmath_double_inline = True
myst_heading_anchors = 4
myst_heading_slug_func = "course_lib.site.extension.slug"
mathjax_path = "assets/mathjax/tex-svg-full.js"  # the one file that needs no other
mathjax3_config = {"options": {"enableMenu": False}}  # or every formula is a stop on the way of the Tab key

autodoc_typehints = "none"  # shapes and units are in the docstrings
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
add_module_names = False
toc_object_entries_show_parents = "hide"
default_role = "py:obj"

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static"]
html_extra_path = ["beside"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_show_sphinx = False
html_favicon = "static/favicon.svg"
html_context = {"default_mode": "auto"}  # as the reader's system: light or dark
repository = os.environ.get("COURSE_REPOSITORY", "")  # its address on GitHub, if the site is made there
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": True,
    "navbar_persistent": [],  # one field for searching is enough
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
if repository:  # UNTESTED: nobody has opened the course at Binder or Colab
    html_theme_options |= {
        "repository_url": repository,
        "use_repository_button": True,
        "launch_buttons": {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"},
    }
