// A WebSocket client that nobody here wrote: node websocket_client.js URL HOST
// Talks with an echo server in every way it knows and prints what it got as JSON. With a URL of http: or
// https: the handshake is the CONNECT of RFC 8441.
const http2 = require("http2");
const WebSocket = require("ws");

const [url, host] = process.argv.slice(2);
const big = Buffer.alloc(3 << 20, (i) => i);
const result = { echoes: [] };

function fail(error) {
    console.error(error);
    process.exit(1);
}

function talk(socket) {
    const messages = [
        () => socket.send("text"),
        () => socket.send(Buffer.from([0, 1, 254, 255])),
        () => ["frag", "men", "ted"].forEach((part, i) => socket.send(part, { fin: i === 2 })),
        () => socket.send(""),
        () => socket.send(big),
    ];
    const next = () => (messages[result.echoes.length] || (() => socket.ping("are you there")))();
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
    socket.on("error", fail);
    next();
}

function byUpgrade() {
    const socket = new WebSocket(url, ["x", "chat"], { headers: { Host: host }, servername: host });
    socket.on("error", fail);
    socket.on("open", () => {
        Object.assign(result, { protocol: socket.protocol, extensions: socket.extensions });
        talk(socket);
    });
}

function byConnect() {
    const session = http2.connect(url, { servername: host });
    session.on("error", fail);
    session.on("remoteSettings", ({ enableConnectProtocol }) => {
        result.enabled = enableConnectProtocol;
        const stream = session.request({
            ":method": "CONNECT", ":protocol": "websocket", ":path": "/", ":authority": host,
            "sec-websocket-version": "13", "sec-websocket-protocol": "x, chat",
        });
        stream.on("error", fail);
        stream.on("response", (headers) => {
            Object.assign(result, { status: headers[":status"], protocol: headers["sec-websocket-protocol"] });
            const socket = new WebSocket(null, undefined, { closeTimeout: 30000 });
            socket._isServer = false; // it has no public way to a stream that is there
            socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 64 << 20 });
            socket.on("close", () => session.close());
            talk(socket);
        });
    });
}

url.startsWith("http") ? byConnect() : byUpgrade();
