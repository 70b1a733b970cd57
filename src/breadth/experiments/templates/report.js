// Draws the figures, follows the theme, and opens what is folded. Loads nothing; text only ever enters through textContent.
  const root = document.documentElement;
  const themes = json(byId("themes"));
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);

  // ---- figures -------------------------------------------------------------------------------------------------------
  const figures = all("figure[data-figure]").map((element) => ({
    element,
    plot: element.querySelector(".plot"),
    description: json(element.querySelector('script[type^="application/"]')),
    width: 0,
  }));

  // Replace colour tokens ("@c0", "@c0/0.4"); only under keys that end in "color" or "colors", so that no name is ever taken for one.
  const colour = (token, colours) => {
    const [name, opacity] = token.slice(1).split("/");
    return colours[name] + (opacity ? Math.round(255 * opacity).toString(16).padStart(2, "0") : "");
  };
  const resolve = (value, colours, key = "") => {
    if (Array.isArray(value)) return value.map((v) => resolve(v, colours, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v, colours, k)]));
    }
    return typeof value === "string" && /colors?$/.test(key) && value[0] === "@" ? colour(value, colours) : value;
  };

  // Panels stand side by side while each has room, else below each other; the legend takes as many lines as it needs.
  const arrange = (description, width, dark) => {
    const { panels, columns, panel_height: panelHeight } = description;
    const across = Math.max(1, Math.min(columns, panels, Math.floor(width / 300)));
    const down = Math.ceil(panels / across);
    const height = across === 1 && panels > 1 ? Math.min(panelHeight, 290) : Math.min(panelHeight, Math.max(300, width * 0.8));
    const { data, layout } = resolve({ data: description.data, layout: description.layout }, themes[dark ? "dark" : "light"]);
    const names = new Set(data.filter((trace) => trace.showlegend !== false).map((trace) => trace.name));
    const widest = Math.max(0, ...[...names].map((name) => name.length)) * 6.6 + 56;
    const lines = Math.ceil(names.size / Math.max(1, Math.floor(width / widest)));
    const heading = layout.annotations.length ? 22 : 0;
    const gap = 66 + heading;
    const top = 14 + 20 * lines + heading;
    layout.margin = { ...layout.margin, t: top };
    layout.width = width;
    layout.height = top + layout.margin.b + down * height + (down - 1) * gap;
    layout.grid = {
      rows: down, columns: across, pattern: "independent",
      xgap: across > 1 ? 66 / (width / across) : 0, ygap: down > 1 ? gap / (height + gap) : 0,
    };
    layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom"; // a finger scrolls the page
    return { data, layout };
  };

  const draw = (figure, width, dark) => {
    const { data, layout } = arrange(figure.description, width, dark);
    figure.width = width;
    const drawn = Plotly.react(figure.plot, data, layout, { displayModeBar: false, displaylogo: false });
    if (figure.listen) figure.listen();
    return drawn;
  };
  const drawIfSeen = (figure) => {
    const width = Math.floor(figure.plot.clientWidth);
    if (width > 0 && width !== figure.width) draw(figure, width, isDark());
  };
  const redraw = () => figures.filter((figure) => figure.width).forEach((figure) => draw(figure, figure.width, isDark()));
  const watch = new ResizeObserver((entries) => {
    entries.forEach(({ target }) => drawIfSeen(figures.find((figure) => figure.plot === target)));
  });
  figures.forEach((figure) => watch.observe(figure.plot));

  // On paper: light colours and the width of the sheet, whatever the screen was.
  addEventListener("beforeprint", () => figures.filter((f) => f.width).forEach((f) => {
    f.screen = f.width;
    draw(f, 680, false);
  }));
  addEventListener("afterprint", () => figures.filter((f) => f.screen).forEach((f) => draw(f, f.screen, isDark())));

  const save = (name, text, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const plainText = (markup) => new DOMParser().parseFromString(markup, "text/html").documentElement.textContent;
  const csvCell = (value) => {
    if (typeof value !== "string") return value === null || value === undefined ? "" : String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value; // a spreadsheet must not take a name for a formula
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = ({ data, layout }) => {
    const heading = (axis) => (layout.annotations.find((note) => note.yref === `${axis} domain`) || { text: "" }).text;
    const title = (axis) => plainText(layout[axis.replace(/^([xy])/, "$1axis")].title.text || heading(axis));
    const lines = [["objective", "series", "x_name", "y_name", "x", "y"]];
    data.filter((trace) => trace.ids).forEach((trace) => trace.ids.forEach((id, i) => { // a tree of tiles
      const parent = trace.parents[i] ? plainText(trace.labels[trace.ids.indexOf(trace.parents[i])]) : "";
      lines.push([parent, trace.meta.role, trace.meta.role, "samples", plainText(trace.customdata[i].split("<br>")[0]), trace.values[i]]);
    }));
    data.filter((trace) => trace.x && trace.meta.role !== "band").forEach((trace) => trace.x.forEach((x, i) => {
      const said = trace.meta.role.endsWith("checkpoint") || trace.meta.role === "molecule";
      const words = said && (Array.isArray(trace.customdata[i]) ? trace.customdata[i][0] : trace.customdata[i].replace("<br>", ", "));
      const role = said ? `${trace.meta.role}, ${plainText(words)}` : trace.meta.role;
      lines.push([plainText(trace.name), role, title(trace.xaxis), title(trace.yaxis), x, trace.y[i]]);
    }));
    return lines.map((line) => line.map(csvCell).join(",")).join("\n") + "\n";
  };
  all("[data-save]").forEach((button) => button.addEventListener("click", () => {
    const figure = figures.find((f) => f.element.contains(button));
    const format = button.dataset.save;
    const filename = `${document.title.split(" ")[0]}-${figure.description.id || figure.element.dataset.figure}`;
    if (format === "csv") return save(`${filename}.csv`, csv(figure.description), "text/csv");
    const { data, layout } = arrange(figure.description, Math.max(figure.width, 700), false);
    layout.paper_bgcolor = "#ffffff";
    const { width, height } = layout;
    return Plotly.downloadImage({ data, layout }, { format, width, height, filename, scale: format === "png" ? 3 : 1 });
  }));
  all(".actions").forEach((actions) => { actions.hidden = false; });

  // ---- theme ---------------------------------------------------------------------------------------------------------
  const button = byId("theme");
  const words = { "": "as the system", light: "light", dark: "dark" };
  const setTheme = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    button.textContent = `Theme: ${words[theme]}`;
    redraw();
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const order = Object.keys(words);
    setTheme(order[(order.indexOf(root.dataset.theme || "") + 1) % order.length]);
  });
  systemDark.addEventListener("change", redraw);
  const asked = new URLSearchParams(location.search).get("theme"); // ?theme=dark, for links and screenshots
  if (asked === "light" || asked === "dark") setTheme(asked);

  // ---- examples ------------------------------------------------------------------------------------------------------
  const pictures = json(byId("pictures"));
  const galleries = all(".gallery");
  const chosen = {};
  const showGallery = () => {
    galleries.forEach((gallery) => {
      gallery.hidden = gallery.dataset.name !== chosen.name || gallery.dataset.seed !== chosen.seed;
      if (gallery.hidden) return;
      all("img[data-picture]:not([src])", gallery).forEach((img) => {
        img.src = `data:image/svg+xml,${encodeURIComponent(pictures[img.dataset.picture])}`;
      });
    });
    all("[data-choose]").forEach((b) => b.setAttribute("aria-pressed", String(chosen[b.dataset.choose] === b.value)));
    byId("no-gallery").hidden = galleries.some((gallery) => !gallery.hidden);
  };
  all("img[data-picture]").filter((img) => !img.closest(".gallery")).forEach((img) => {
    img.src = `data:image/svg+xml,${encodeURIComponent(pictures[img.dataset.picture])}`;
  });
  if (galleries.length) {
    Object.assign(chosen, { name: galleries[0].dataset.name, seed: galleries[0].dataset.seed });
    all(".chooser").forEach((chooser) => { chooser.hidden = false; });
    all("[data-choose]").forEach((b) => b.addEventListener("click", () => {
      chosen[b.dataset.choose] = b.value;
      showGallery();
    }));
    showGallery();
  }

  // ---- all numbers ---------------------------------------------------------------------------------------------------
  const details = byId("numbers-table") || document.createElement("details"); // a page may do without the table
  const hasNumbers = details.isConnected;
  const PAGE = 200;
  let table = null;
  let limit = PAGE;
  const row = (tag, values) => {
    const tr = document.createElement("tr");
    values.forEach((value) => {
      const cell = document.createElement(tag);
      cell.textContent = value === null || value === "" ? "–" : String(value);
      if (typeof value === "number") cell.className = "n";
      tr.append(cell);
    });
    return tr;
  };
  const loadNumbers = () => {
    if (table) return;
    table = json(byId("numbers-data"));
    // "name=value" tokens for exact terms, and one line of text for plain words
    table.tokens = table.rows.map((r) => r.map((v, i) => `${table.columns[i]}=${String(v).replace(/\s+/g, "_")}`.toLowerCase()));
    const head = document.createElement("thead");
    head.append(row("th", table.columns));
    byId("numbers-rows").append(head, document.createElement("tbody"));
  };
  const showNumbers = () => {
    loadNumbers();
    const terms = byId("numbers-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const hit = (tokens) => terms.every((t) => (t.includes("=") ? tokens.includes(t) : tokens.some((token) => token.includes(t))));
    const found = table.rows.filter((_, i) => hit(table.tokens[i]));
    byId("numbers-rows").tBodies[0].replaceChildren(...found.slice(0, limit).map((r) => row("td", r)));
    byId("numbers-count").textContent = `${Math.min(limit, found.length)} of ${found.length} matching rows shown`;
    byId("numbers-more").hidden = found.length <= limit;
  };
  details.addEventListener("toggle", () => { if (details.open && !table) showNumbers(); });
  if (details.open) showNumbers();
  if (hasNumbers) {
    byId("numbers-filter").addEventListener("input", () => { limit = PAGE; showNumbers(); });
    byId("numbers-more").addEventListener("click", () => { limit += PAGE; showNumbers(); });
  }
  const findNumbers = (words) => {
    if (!hasNumbers) return;
    byId("numbers-filter").value = words;
    details.open = true;
    limit = PAGE;
    showNumbers();
  };
  all("[data-find]").forEach((link) => link.addEventListener("click", () => findNumbers(link.dataset.find)));
