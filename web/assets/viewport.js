// Fits the page into the part of the screen above a phone's keyboard, where the browser doesn't do so itself.

export function followViewport() {
  const view = globalThis.visualViewport;
  if (!view) return;
  const fit = () => {
    if (view.scale > 1.01) return; // The user zoomed in; there is no keyboard.
    document.documentElement.style.setProperty("--height", `${Math.round(view.height)}px`);
    if (view.offsetTop) scrollTo(0, 0);
  };
  view.addEventListener("resize", fit);
  view.addEventListener("scroll", fit);
}
