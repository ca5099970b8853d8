// Draws each chart of the page once: its specification stands beside it, as JSON.
(function () {
  "use strict";

  function draw(figure) {
    if (figure.dataset.drawn) return;
    figure.dataset.drawn = "yes";
    const spec = JSON.parse(figure.querySelector("script").textContent);
    const options = { actions: false, renderer: "svg", defaultStyle: false };
    window.vegaEmbed(figure.querySelector(".plot"), spec, options);
  }

  window.ledgerDraw = function () {
    document.querySelectorAll("figure.ledger-chart").forEach(draw);
  };

  // A chart has the width of its place: on paper that is another one.
  window.addEventListener("beforeprint", function () {
    window.dispatchEvent(new Event("resize"));
  });

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", window.ledgerDraw);
  } else {
    window.ledgerDraw();
  }
})();
