// A WebSocket server by HTTP/2 (RFC 8441) that nobody here wrote: node websocket_http2_server.js PORT OPTIONS
// Answers every message with itself; the text "close CODE REASON" closes. OPTIONS are JSON: cert and key are files for
// TLS; connect: whether it takes CONNECT; http1: whether it speaks HTTP/1.1 as well.
const fs = require("fs");
const http2 = require("http2");
const WebSocket = require("ws");

const port = Number(process.argv[2]);
const options = JSON.parse(process.argv[3] || "{}");
const settings = { enableConnectProtocol: options.connect !== false };
const server = options.cert
    ? http2.createSecureServer({
        cert: fs.readFileSync(options.cert), key: fs.readFileSync(options.key), allowHTTP1: options.http1 === true, settings,
    })
    : http2.createServer({ settings });
if (options.cert && !options.http1) { // Node.js 18 accepts who speaks none of its protocols, 20 does not; in both this refuses
    server.ALPNProtocols = undefined;
    server.ALPNCallback = ({ protocols }) => (protocols.includes("h2") ? "h2" : undefined);
}

function talk(socket) {
    socket.on("message", (data, isBinary) => {
        const words = isBinary ? [] : data.toString().split(" ");
        if (words[0] === "close") socket.close(Number(words[1]), words[2]);
        else socket.send(data, { binary: isBinary });
    });
}

server.on("stream", (stream, headers) => {
    if (headers[":method"] !== "CONNECT" || headers[":protocol"] !== "websocket") {
        stream.respond({ ":status": 200 });
        stream.end(`${headers[":method"]} over HTTP/2`);
        return;
    }
    const offered = (headers["sec-websocket-protocol"] || "").split(/, */);
    stream.respond({ ":status": 200, ...(offered.includes("chat") ? { "sec-websocket-protocol": "chat" } : {}) });
    const socket = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 30000 }); // a server's, without a handshake of its own
    socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 64 << 20 });
    talk(socket);
});

const upgrades = new WebSocket.WebSocketServer({
    noServer: true,
    maxPayload: 64 << 20,
    handleProtocols: (offered) => (offered.has("chat") ? "chat" : false),
});
server.on("upgrade", (request, socket, head) => upgrades.handleUpgrade(request, socket, head, talk));
server.listen(port, "127.0.0.1", () => console.log("listening"));
process.on("SIGTERM", () => process.exit(0));
