"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const json = (id) => JSON.parse(document.getElementById(id).textContent);

  async function dataTables() {
    const packed = atob(document.getElementById("datatables").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const address = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
    const module = await import(address);
    URL.revokeObjectURL(address);
    return module.default;
  }

  /* Numbers and words alike; what is missing comes last in both directions. */
  function sorter(sign) {
    return (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const x = Number(a), y = Number(b);
      return sign * (Number.isNaN(x) || Number.isNaN(y) ? String(a).localeCompare(String(b)) : x - y);
    };
  }

  function groupHead(rows, columns) {
    const first = rows.nodes()[0];
    const line = document.createElement("tr");
    const head = document.createElement("th");
    const text = document.createElement("span");
    const badge = document.createElement("span");
    head.colSpan = columns;
    head.scope = "rowgroup";
    text.className = "group";
    text.textContent = first.dataset.dataset + " ";
    badge.className = "badge " + (first.dataset.kind === "needs time" ? "time" : "control");
    badge.textContent = first.dataset.kind;
    text.append(badge);
    head.append(text);
    line.append(head);
    return line;
  }

  async function table() {
    const DataTable = await dataTables();
    Object.assign(DataTable.ext.type.order, { "measure-asc": sorter(1), "measure-desc": sorter(-1) });
    const element = document.getElementById("leaderboard");
    const heads = [...element.tHead.rows[0].cells];
    const at = (key) => heads.findIndex((head) => head.dataset.key === key);
    const controls = document.querySelector(".controls");
    controls.hidden = false;
    const narrow = window.innerWidth < 900;
    const bestFirst = ["accuracy", "temporal_gain", "activation_sparsity"].map(at);
    const shown = new DataTable(element, {
      paging: false,
      autoWidth: false,
      info: true,
      order: [[at("rank"), "asc"]],
      orderFixed: { pre: [[at("dataset"), "asc"]] },
      rowGroup: { dataSrc: (row) => row[at("dataset")].display, startRender: (rows) => groupHead(rows, element.tHead.rows[0].cells.length) },
      layout: {
        topStart: [() => controls, { buttons: [{ extend: "colvis", text: "Columns", background: false, columns: heads.map((_, i) => i).filter((i) => i > at("method")) }] }],
        topEnd: "search",
        bottomStart: "info",
        bottomEnd: null,
      },
      columnDefs: [
        { targets: "_all", type: "measure" },
        { targets: bestFirst, orderSequence: ["desc", "asc", ""] },
        { targets: at("dataset"), visible: false },
        { targets: narrow ? heads.flatMap((head, i) => (head.classList.contains("wide-only") ? [i] : [])) : [], visible: false },
      ],
    });
    /* DataTables reports the direction of the fixed order, that of the datasets; screen readers need the column's own. */
    const announce = () => {
      for (const head of heads) {
        const way = ["asc", "desc"].find((name) => head.classList.contains("dt-ordering-" + name));
        if (way) head.setAttribute("aria-sort", way + "ending");
        else head.removeAttribute("aria-sort");
      }
    };
    shown.on("draw", announce);
    announce();
    const region = element.closest(".scroll");
    const container = shown.table().container();
    region.before(container);
    container.querySelector(".dt-layout-table").before(region);
    region.append(element);
    const pick = document.getElementById("pick-dataset");
    const ranked = document.getElementById("only-ranked");
    const node = (index) => shown.row(index).node();
    const redraw = () => {
      shown.search.fixed("dataset", (_text, _data, index) => !pick.value || node(index).dataset.dataset === pick.value);
      shown.search.fixed("ranked", (_text, _data, index) => !ranked.checked || node(index).dataset.ranked === "yes");
      shown.draw();
    };
    pick.addEventListener("change", redraw);
    ranked.addEventListener("change", redraw);
    document.documentElement.classList.toggle("dark", dark.matches);
  }

  async function charts() {
    const specs = json("specs"), themes = json("themes");
    const actions = { export: { svg: true, png: true }, source: false, compiled: false, editor: false };
    for (const place of document.querySelectorAll(".chart")) {
      const name = place.dataset.spec;
      const config = structuredClone(themes[dark.matches ? "dark" : "light"]);
      config.legend.columns = Math.max(1, Math.floor(place.clientWidth / 150));
      await window.vegaEmbed(place, specs[name], {
        config,
        renderer: "svg",
        theme: undefined,
        downloadFileName: name,
        tooltip: { theme: dark.matches ? "dark" : "light" },
        actions,
      });
      place.querySelector("summary")?.setAttribute("aria-label", "Save this chart");
    }
  }

  /* One tooltip for mouse and keyboard alike; Escape hides it. */
  function tips() {
    const tip = document.getElementById("tip");
    let owner = null;
    const hide = () => {
      if (!owner) return;
      owner.title = owner.dataset.title;
      owner.removeAttribute("data-title");
      owner.removeAttribute("aria-describedby");
      owner = null;
      tip.hidden = true;
    };
    const show = (event) => {
      const target = event.target instanceof Element ? event.target.closest("abbr[title]:not([title=''])") : null;
      if (!target || target === owner) return;
      hide();
      owner = target;
      tip.textContent = target.title;
      target.dataset.title = target.title;
      target.removeAttribute("title");
      target.setAttribute("aria-describedby", "tip");
      tip.hidden = false;
      const box = target.getBoundingClientRect(), size = tip.getBoundingClientRect();
      const below = box.bottom + 6 + size.height < window.innerHeight;
      tip.style.left = Math.max(6, Math.min(box.left, window.innerWidth - size.width - 6)) + "px";
      tip.style.top = (below ? box.bottom + 6 : box.top - size.height - 6) + "px";
    };
    document.addEventListener("mouseover", show);
    document.addEventListener("focusin", show);
    document.addEventListener("mouseout", (event) => {
      if (owner && event.target === owner) hide();
    });
    document.addEventListener("focusout", hide);
    document.addEventListener("scroll", hide, true);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
    });
  }

  async function copy(button) {
    const said = document.getElementById("said");
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      said.textContent = "Copied";
      button.firstChild.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(button.previousElementSibling);
      said.textContent = "Could not copy; the command is selected";
      button.firstChild.textContent = "Selected";
    }
    setTimeout(() => { button.firstChild.textContent = "Copy"; }, 2000);
  }

  function openTarget() {
    const row = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (row instanceof HTMLDetailsElement) {
      row.open = true;
      row.querySelector("summary").focus();
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
  });
  window.addEventListener("hashchange", openTarget);
  dark.addEventListener("change", () => {
    document.documentElement.classList.toggle("dark", dark.matches);
    charts();
  });
  tips();
  openTarget();
  Promise.all([table(), window.vegaEmbed ? charts() : null]).then(() => { document.documentElement.dataset.ready = "yes"; });
})();
