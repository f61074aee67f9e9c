"use strict";

// What is shown: who is signed in (null: nobody), and the rows by their ids, as the stream tells them.
const state = { me: null, rows: { todo: new Map(), "auth.sessions": new Map() } };
const $ = (id) => document.getElementById(id);

// --- the API ---------------------------------------------------------------------------------------------------------

class Problem extends Error {
  constructor(status, problem) {
    super(problem.errors?.map((e) => e.message).join("; ") || problem.detail || "The server did not answer as expected.");
    this.status = status;
  }
}

// call sends JSON and returns JSON; what is not a success is thrown.
async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  const answer = text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : {};
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}

// --- the stream ------------------------------------------------------------------------------------------------------

let stream = null; // the present one; what an old one still says is not heard

// follow shows the rows that the caller may see, and every change of them. A stream that ends is opened again where it
// ended, also when the server was away.
function follow() {
  stream?.source?.close();
  const mine = (stream = { source: null });
  let last = "";
  const clear = () => Object.values(state.rows).forEach((rows) => rows.clear());
  const open = () => {
    if (mine !== stream) return;
    const target = new URL("subscribe?tables=todo,auth.sessions&snapshot=true", location.href);
    if (last !== "") target.searchParams.set("since", last);
    const source = (mine.source = new EventSource(target));
    const take = (event) => {
      if (mine !== stream) return;
      last = event.lastEventId || last;
      const data = JSON.parse(event.data);
      if (event.type === "reset" || (event.type === "ready" && last === "")) clear(); // a snapshot follows
      if (event.type === "message") change(data);
      if (event.type === "problem") setTimeout(lost, 0); // the session has ended
      show(true);
    };
    for (const type of ["message", "ready", "snapshot-end", "cursor", "reset", "problem"]) source.addEventListener(type, take);
    source.onerror = () => {
      if (mine !== stream) return;
      show(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => mine === stream && lost().then(open), 1000);
    };
  };
  clear();
  open();
}

function change({ table, event, payload }) {
  const rows = state.rows[table];
  if (event === "DELETE") rows.delete(payload.id);
  else rows.set(payload.id, payload);
}

// lost asks whether the session is still good, since EventSource does not say why it was refused.
async function lost() {
  if (!state.me) return;
  try {
    await call("GET", "auth/me");
  } catch (problem) {
    if (problem.status !== 401) return; // the server is away: later
    await call("POST", "auth/logout").catch(() => {}); // takes the cookie away
    say("You have been signed out.");
    signedIn(null);
  }
}

// --- what is seen ----------------------------------------------------------------------------------------------------

let scheduled = false;
let live = false;

// show draws at most once a frame, however many changes there are.
function show(connected = live) {
  live = connected;
  if (scheduled) return;
  scheduled = true;
  setTimeout(() => {
    scheduled = false;
    draw();
  }, 16);
}

function draw() {
  $("live").textContent = live ? "live" : "connecting";
  $("live").classList.toggle("on", live);
  $("who").textContent = state.me?.email ?? "";
  for (const [id, shown] of [["sign-out", state.me], ["add", state.me], ["account", state.me], ["sign-in", !state.me && !resetToken], ["reset", resetToken]]) {
    $(id).hidden = !shown;
  }
  const todos = [...state.rows.todo.values()].sort((a, b) => a.is_complete - b.is_complete || b.id - a.id);
  const open = todos.filter((todo) => !todo.is_complete).length;
  $("count").textContent = todos.length ? `${open} open, ${todos.length - open} done` : "";
  $("empty").hidden = todos.length > 0;
  list($("todos"), todos, "todo", drawTodo);
  const sessions = [...state.rows["auth.sessions"].values()].sort((a, b) => b.id.localeCompare(a.id));
  list($("sessions"), sessions, "session", drawSession);
}

// list keeps an element for each row, in order.
function list(parent, rows, template, fill) {
  const present = new Map([...parent.children].map((item) => [item.dataset.id, item]));
  rows.forEach((row, at) => {
    let item = present.get(String(row.id));
    if (!item) {
      item = $(template).content.firstElementChild.cloneNode(true);
      item.dataset.id = row.id;
    }
    present.delete(String(row.id));
    fill(item, row);
    if (parent.children[at] !== item) parent.insertBefore(item, parent.children[at] ?? null);
  });
  present.forEach((item) => item.remove());
}

function drawTodo(item, todo) {
  const mine = state.me?.id === todo.user_id;
  item.classList.toggle("mine", mine);
  item.classList.toggle("done", todo.is_complete);
  const tick = item.querySelector("input");
  tick.checked = todo.is_complete;
  tick.disabled = !mine;
  tick.onchange = () => act(() => call("PATCH", `todo/${todo.id}`, { is_complete: tick.checked }));
  item.querySelector(".task").textContent = todo.task;
  const at = new Date(todo.inserted_at);
  item.querySelector("time").textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  item.querySelector("time").dateTime = todo.inserted_at;
  item.querySelector("time").title = at.toLocaleString();
  item.querySelector(".remove").onclick = () => act(() => call("DELETE", `todo/${todo.id}`));
}

function drawSession(item, session) {
  item.querySelector("strong").textContent = browserOf(session.user_agent);
  const at = new Date(session.created_at);
  item.querySelector("span").textContent = `${session.address}, ${at.toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" })}`;
  const revoke = item.querySelector("button");
  if (revoke && session.id === state.me?.session) {
    const here = document.createElement("span");
    here.className = "here";
    here.textContent = "this one";
    revoke.replaceWith(here);
  } else if (revoke) {
    revoke.onclick = () => act(() => call("DELETE", `auth/sessions/${session.id}`));
  }
}

// browserOf names a browser and its system as people do.
function browserOf(agent) {
  const first = (names) => names.find(([pattern]) => pattern.test(agent))?.[1];
  const browser = first([[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrome\//, "Chrome"], [/Safari\//, "Safari"]]);
  const system = first([[/iPhone|iPad/, "iOS"], [/Android/, "Android"], [/Windows/, "Windows"], [/Mac OS X/, "macOS"], [/Linux/, "Linux"]]);
  return browser ? browser + (system ? ` on ${system}` : "") : agent.split(" ")[0] || "unknown";
}

function say(text, bad = false) {
  $("message").textContent = text;
  $("message").hidden = text === "";
  $("message").classList.toggle("bad", bad);
}

// act does what was asked for, and says why not; the stream shows what came of it.
async function act(fn) {
  say("");
  try {
    await fn();
  } catch (problem) {
    say(problem.message, true);
    if (problem.status === 401) await lost();
    show();
  }
}

// --- who is signed in ------------------------------------------------------------------------------------------------

let resetToken = ""; // of the mail that allows a new password

function signedIn(me) {
  state.me = me;
  $("sessions").replaceChildren();
  follow();
  show();
}

const enter = async (email, password) => {
  await call("POST", "auth/login", { email, password });
  signedIn(await call("GET", "auth/me"));
};

$("credentials").onsubmit = (event) => {
  event.preventDefault();
  const form = event.target;
  const [email, password] = [form.email.value, form.password.value];
  act(async () => {
    if (event.submitter?.value === "forgot") {
      await call("POST", "auth/forgot", { email });
      say("If there is an account, a mail is on its way.");
      return;
    }
    if (event.submitter?.value === "register") await call("POST", "auth/register", { email, password });
    await enter(email, password);
    form.reset();
  });
};

$("new-password").onsubmit = (event) => {
  event.preventDefault();
  act(async () => {
    await call("POST", "auth/reset", { token: resetToken, password: event.target.password.value });
    resetToken = "";
    event.target.reset();
    say("Sign in with your new password.");
    show();
  });
};

$("sign-out").onclick = () =>
  act(async () => {
    await call("POST", "auth/logout");
    signedIn(null);
  });

$("add").onsubmit = (event) => {
  event.preventDefault();
  const { task } = event.target;
  act(async () => {
    await call("POST", "todo", { task: task.value });
    task.value = "";
  });
};

// links in mails lead here.
async function fromMail() {
  const query = new URLSearchParams(location.search);
  const [occasion, token] = [query.get("occasion"), query.get("token")];
  if (!token) return;
  history.replaceState(null, "", location.pathname); // the token does not stay in the address bar
  if (occasion === "forgot") {
    resetToken = token;
    return;
  }
  await act(async () => {
    await call("POST", occasion === "new_email" ? "auth/email/confirm" : "auth/verify", { token });
    say("Your address is confirmed.");
  });
}

async function start() {
  await fromMail();
  const me = await call("GET", "auth/me").catch(async (problem) => {
    if (problem.status === 401) await call("POST", "auth/logout").catch(() => {}); // of a session that has ended
    return null;
  });
  signedIn(me);
}

start();
