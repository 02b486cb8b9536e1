// A WebSocket client that nobody here wrote: node websocket_client.js URL HOST
// Talks with an echo server in every way it knows and prints what it got as JSON.
const WebSocket = require("ws");

const [url, host] = process.argv.slice(2);
const socket = new WebSocket(url, ["x", "chat"], { headers: { Host: host } });
const big = Buffer.alloc(3 << 20, (i) => i);
const result = { echoes: [] };
const messages = [
    () => socket.send("text"),
    () => socket.send(Buffer.from([0, 1, 254, 255])),
    () => ["frag", "men", "ted"].forEach((part, i) => socket.send(part, { fin: i === 2 })),
    () => socket.send(""),
    () => socket.send(big),
];

function next() {
    const message = messages[result.echoes.length];
    if (message) message();
    else socket.ping("are you there");
}

socket.on("open", () => {
    result.protocol = socket.protocol;
    result.extensions = socket.extensions;
    next();
});
socket.on("message", (data, isBinary) => {
    result.echoes.push(data.length > 100 ? data.equals(big) : [data.toString("latin1"), isBinary]);
    next();
});
socket.on("pong", (data) => {
    result.pong = data.toString();
    socket.send("close 4321 bye");
});
socket.on("close", (code, reason) => {
    result.close = [code, reason.toString()];
    console.log(JSON.stringify(result));
});
socket.on("error", (error) => {
    console.error(error);
    process.exit(1);
});
