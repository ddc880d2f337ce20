"use strict";
// Shows /openapi.json: operations by group, parameters, bodies as examples.

const DEPTH_MAX = 10;
let api = null;

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function resolve(schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((at, key) => at[key], api);
}

/** Returns what a value of a schema looks like; leaves are names of types. */
function example(schema, depth = 0) {
  const s = resolve(schema);
  if (depth > DEPTH_MAX) return "…";
  const choice = s.oneOf || s.anyOf;
  if (choice) return example(choice.find((one) => one.type !== "null") || choice[0], depth + 1);
  if (s.allOf) return Object.assign({}, ...s.allOf.map((part) => example(part, depth + 1)));
  const type = Array.isArray(s.type) ? s.type.find((one) => one !== "null") : s.type;
  if (type === "array") return [example(s.items, depth + 1)];
  if (s.properties) {
    const required = s.required || [];
    return Object.fromEntries(Object.entries(s.properties).map(([key, value]) =>
      [required.includes(key) ? key : `${key}?`, example(value, depth + 1)]));
  }
  if (s.enum) return s.enum.join(" | ");
  return type === "object" ? {} : type || "any";
}

function content(part) {
  const media = Object.values((part && part.content) || {})[0];
  return media && media.schema ? h("pre", null, JSON.stringify(example(media.schema), null, 2)) : null;
}

function parameters(list) {
  if (!list || list.length === 0) return null;
  const rows = list.map((parameter) => h("tr", null, h("td", null, parameter.name),
    h("td", null, parameter.in), h("td", null, parameter.description || "")));
  return h("div", null, h("h3", null, "Parameters"), h("table", null, h("tbody", null, ...rows)));
}

function who(security) {
  if (security.some((way) => Object.keys(way).length === 0)) return "Anybody may call this.";
  const ways = security.map((way) => Object.keys(way)[0]).join(" or ");
  return `Needs ${ways}, role ${Object.values(security[0])[0][0]} or higher.`;
}

function operation(path, method, op) {
  const body = content(op.requestBody);
  const answers = Object.entries(op.responses || {}).map(([status, response]) =>
    h("div", null, h("h3", null, `Answer ${status}`), content(response)));
  return h("details", { "data-text": `${method} ${path} ${op.summary || ""}`.toLowerCase() },
    h("summary", null, h("span", { class: `method ${method}` }, method.toUpperCase()),
      h("code", null, path), h("span", { class: "about" }, op.summary || "")),
    h("div", { class: "body" }, op.description ? h("p", null, op.description) : null,
      h("p", { class: "muted" }, who(op.security || [])), parameters(op.parameters),
      body ? h("div", null, h("h3", null, "Body"), body) : null, ...answers));
}

function render() {
  document.getElementById("version").textContent = api.info.version;
  const groups = api.tags.map((tag) => {
    const own = Object.entries(api.paths).flatMap(([path, item]) => Object.entries(item)
      .filter(([, op]) => op.tags && op.tags[0] === tag.name)
      .map(([method, op]) => operation(path, method, op)));
    return h("section", { class: "group", id: tag.name }, h("h2", null, tag.name),
      h("p", null, tag.description || ""), ...own);
  });
  document.getElementById("operations").replaceChildren(...groups);
  document.getElementById("tags").replaceChildren(
    ...api.tags.map((tag) => h("a", { href: `#${tag.name}` }, tag.name)));
}

document.getElementById("search").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const element of document.querySelectorAll("details")) {
    element.hidden = !element.dataset.text.includes(wanted);
  }
});
fetch("/openapi.json").then((answer) => answer.json()).then((document) => { api = document; render(); });
