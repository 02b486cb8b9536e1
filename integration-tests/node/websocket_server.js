// A WebSocket server that nobody here wrote: node websocket_server.js PORT
// Answers every message with itself; the text "close CODE REASON" closes.
const { WebSocketServer } = require("ws");

const port = Number(process.argv[2]);
const server = new WebSocketServer({
    port,
    host: "127.0.0.1",
    perMessageDeflate: { threshold: 0 },
    maxPayload: 64 << 20,
    handleProtocols: (offered) => (offered.has("chat") ? "chat" : false),
});

server.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => {
        const words = isBinary ? [] : data.toString().split(" ");
        if (words[0] === "close") socket.close(Number(words[1]), words[2]);
        else socket.send(data, { binary: isBinary });
    });
});
server.on("listening", () => console.log("listening"));
process.on("SIGTERM", () => process.exit(0));
