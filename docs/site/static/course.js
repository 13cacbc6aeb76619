// The theme's handles that unfold a part of the contents have a picture and no words: give them the words of their part.
document.addEventListener("DOMContentLoaded", () => {
  for (const handle of document.querySelectorAll("nav summary")) {
    const part = handle.closest("li")?.querySelector("a");
    if (part) handle.setAttribute("aria-label", `Pages below ${part.textContent.trim()}`);
  }
});

// Paper is white, whatever the screen is.
addEventListener("beforeprint", () => {
  const page = document.documentElement;
  page.dataset.onScreen = page.dataset.theme;
  page.dataset.theme = "light";
});
addEventListener("afterprint", () => { document.documentElement.dataset.theme = document.documentElement.dataset.onScreen; });
