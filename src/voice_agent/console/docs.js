// The operator's API, drawn from the server's own OpenAPI document; requests without a body can be tried.

import { element } from "./transcript.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

const page = document.getElementById("api");
try {
  const answer = await fetch("openapi.json");
  draw(await answer.json());
} catch (error) {
  console.error(error);
  document.getElementById("loading").textContent = "The description cannot be loaded. Is the server running?";
}

function draw(api) {
  page.replaceChildren(element("p", "about", api.info.description));
  const token = field("Access token, for paths under /api where the server has one", "password");
  token.classList.add("token");
  page.append(token);
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const method of METHODS) {
      if (operations[method]) page.append(operation(api, path, method, operations[method], token.lastElementChild));
    }
  }
}

function operation(api, path, method, described, token) {
  const box = element("section", "operation");
  const title = element("h3");
  title.append(element("span", "method", method.toUpperCase()), ` ${path}`);
  box.append(title, element("p", "", described.description ?? described.summary));
  const inputs = (described.parameters ?? []).map((parameter) => {
    const label = field(`${parameter.name} (${kind(parameter.schema)})`, "text");
    label.lastElementChild.placeholder = String(parameter.schema?.default ?? "");
    return [parameter, label];
  });
  if (inputs.length) {
    const group = element("div", "parameters");
    group.append(...inputs.map(([, label]) => label));
    box.append(element("h4", "", "Parameters"), group);
  }
  for (const [status, response] of Object.entries(described.responses)) box.append(answerTable(api, status, response));
  if (method === "get") box.append(...trial(path, inputs, token));
  return box;
}

function answerTable(api, status, response) {
  const box = element("div", "response");
  box.append(element("h4", "", `${status} ${response.description}`));
  const schema = Object.values(response.content ?? {})[0]?.schema;
  const rows = fields(api, schema);
  if (rows.length) {
    const table = element("table");
    for (const [name, type, meaning] of rows) {
      const row = element("tr");
      row.append(element("td", "", name), element("td", "", type), element("td", "", meaning));
      table.append(row);
    }
    box.append(table);
  }
  return box;
}

// The fields of an object, those of a list's items below it: [name, type, meaning].
function fields(api, schema, prefix = "", depth = 0) {
  const whole = resolve(api, schema);
  if (!whole || depth > 4) return [];
  if (whole.items) return fields(api, whole.items, `${prefix}[]`, depth + 1);
  return Object.entries(whole.properties ?? {}).flatMap(([name, inner]) => {
    const path = prefix ? `${prefix}.${name}` : name;
    return [[path, kind(resolve(api, inner)), inner.description ?? ""], ...fields(api, inner, path, depth + 1)];
  });
}

function resolve(api, schema) {
  const name = schema?.$ref?.split("/").at(-1);
  return name ? api.components.schemas[name] : schema;
}

function kind(schema) {
  if (!schema) return "any";
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  return schema.format ?? schema.type ?? "object";
}

function trial(path, inputs, token) {
  const button = element("button", "", "Try it");
  const result = element("pre");
  result.hidden = true;
  result.setAttribute("role", "status");
  button.type = "button";
  button.addEventListener("click", async () => {
    const url = new URL(path.slice(1), document.baseURI);
    for (const [parameter, label] of inputs) {
      const { value } = label.lastElementChild;
      if (value) url.searchParams.set(parameter.name, value);
    }
    const headers = token.value ? { Authorization: `Bearer ${token.value}` } : {};
    result.hidden = false;
    try {
      const answer = await fetch(url, { headers });
      result.textContent = `${answer.status} ${answer.statusText}\n${pretty(await answer.text())}`;
    } catch (error) {
      result.textContent = `The server cannot be reached (${error.message}).`;
    }
  });
  return [button, result];
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function field(label, type) {
  const box = element("label", "", label);
  const input = element("input");
  input.type = type;
  box.append(input);
  return box;
}
