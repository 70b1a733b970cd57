  // ---- a page about runs that go on: it loads itself again, and stays as the reader had it ---------------------------------
  const seconds = Number(root.dataset.live || 0);
  if (seconds > 0) {
    const place = `breadth:${location.pathname}`;
    const folds = all("details");
    const keep = () => {
      const state = { open: folds.map((fold) => fold.open), theme: root.dataset.theme || "", at: scrollY, chosen, filter: hasNumbers ? byId("numbers-filter").value : "" };
      try { sessionStorage.setItem(place, JSON.stringify(state)); } catch { /* a browser may refuse: then the page begins anew */ }
    };
    try {
      const state = JSON.parse(sessionStorage.getItem(place));
      if (state && state.open.length === folds.length) {
        folds.forEach((fold, i) => { fold.open = state.open[i]; });
        if (state.theme) setTheme(state.theme);
        if (galleries.length && state.chosen.name) { Object.assign(chosen, state.chosen); showGallery(); }
        if (hasNumbers && state.filter) { byId("numbers-filter").value = state.filter; showNumbers(); }
        requestAnimationFrame(() => requestAnimationFrame(() => scrollTo(0, state.at)));
      }
    } catch { /* no state, or none that can be read */ }
    let paused = false;
    const pause = byId("live-pause");
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? "Go on" : "Pause";
      pause.setAttribute("aria-pressed", String(paused));
    });
    const reading = () => paused || document.hidden || all("dialog").some((dialog) => dialog.open);
    setInterval(() => { if (!reading()) { keep(); location.reload(); } }, 1000 * seconds);
  }

  // ---- for programs that print the page or take its figures out -------------------------------------------------------------
  const picture = async (data, layout, format, scale) => {
    const { width, height } = layout;
    const address = await Plotly.toImage({ data, layout }, { format, width, height, scale });
    return format === "svg" ? decodeURIComponent(address.slice(address.indexOf(",") + 1)) : address.slice(address.indexOf(",") + 1);
  };
  window.breadthFigures = () => figures.map((figure) => figure.element.dataset.figure);
  window.breadthFigure = async (name) => {
    const figure = figures.find((f) => f.element.dataset.figure === name);
    const sheet = () => {
      const { data, layout } = arrange(figure.description, 1000, false);
      layout.paper_bgcolor = "#ffffff";
      return [data, layout];
    };
    return { svg: await picture(...sheet(), "svg", 1), png: await picture(...sheet(), "png", 2), csv: csv(figure.description) };
  };
  root.dataset.ready = "true";
