window.MathJax = {
  tex: {
    packages: {"[-]": ["noundefined"]},  // an unknown command is an error, which the tests see, and not red letters
    inlineMath: [["$", "$"], ["\\(", "\\)"]],
    displayMath: [["$$", "$$"], ["\\[", "\\]"]],
    processEscapes: true,
    tags: "ams",
  },
  options: {enableMenu: false},
};
