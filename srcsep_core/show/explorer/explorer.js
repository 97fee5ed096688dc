// Gives the widgets of the explorer around this script the names that ipywidgets leaves out, for screen readers.
(() => {
  "use strict";
  const called = (node, label, role) => {
    node.setAttribute("aria-label", label);
    if (role) node.setAttribute("role", role);
  };
  function label(root) {
    root.querySelectorAll(".widget-slider").forEach((slider) => {
      const text = slider.querySelector(".widget-label").textContent;
      slider.querySelectorAll("[role=slider]").forEach((handle) => called(handle, text));
      slider.querySelectorAll(".widget-readout").forEach((readout) => called(readout, text + ", typed", "textbox"));
    });
    root.querySelectorAll(".widget-play").forEach((play) => {
      ["Play or pause the frames", "Go to the first frame", "Repeat the frames"].forEach((text, which) => {
        called(play.children[which], text);
        play.children[which].title = text;
      });
    });
    root.querySelectorAll(".progress").forEach((bar) => called(bar, "Progress of the run", "progressbar"));
  }
  const script = document.currentScript, own = script && script.closest(".srcsep-explorer");
  (own ? [own] : document.querySelectorAll(".srcsep-explorer")).forEach((root) => {
    root.dataset.lmSuppressShortcuts = "true";
    new MutationObserver(() => label(root)).observe(root, { childList: true, subtree: true });
    label(root);
  });
})();
