// All four kinds of calls with bytes as messages: "PORT" to serve there, or "client HOST:PORT AUTHORITY" which prints what came.
const grpc = require('@grpc/grpc-js');

const same = (bytes) => bytes;
const method = (name, requestStream, responseStream) => ({
  path: `/test.Peer/${name}`, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});
const service = {
  Unary: method('Unary', false, false), Fail: method('Fail', false, false), Wait: method('Wait', false, false),
  Many: method('Many', false, true), Client: method('Client', true, false), Bidi: method('Bidi', true, true),
};

function serve(port) {
  process.on('SIGTERM', () => process.exit(0));
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(service, {
    Unary(call, reply) {
      const trailers = new grpc.Metadata();
      trailers.set('x-last', '2');
      reply(null, call.request, trailers);
    },
    Fail(call, reply) {
      const metadata = new grpc.Metadata();
      metadata.set('grpc-status-details-bin', Buffer.from([0, 1]));
      reply({ code: grpc.status.FAILED_PRECONDITION, details: 'not so: 50% \u00e9', metadata });
    },
    Wait() {},
    Many(call) {
      for (let i = 0; i < Number(call.request.toString()); i++) call.write(Buffer.from(String(i)));
      call.end();
    },
    Client(call, reply) {
      let total = 0;
      call.on('data', (bytes) => { total += bytes.length; });
      call.on('end', () => reply(null, Buffer.from(String(total))));
    },
    Bidi(call) {
      call.on('data', (bytes) => call.write(bytes));
      call.on('end', () => call.end());
    },
  });
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), () => console.log('listening'));
}

async function call(address, authority) {
  const Client = grpc.makeGenericClientConstructor(service, 'Peer');
  const peer = new Client(address, grpc.credentials.createInsecure(),
    { 'grpc.default_authority': authority, 'grpc.max_receive_message_length': -1 });
  const seen = {};
  const text = (bytes) => bytes.toString();
  const unary = (name, request, options = {}) => new Promise((resolve) => {
    peer[name](Buffer.from(request), new grpc.Metadata(), options,
      (error, reply) => resolve(error ? `${error.code} ${error.details}` : text(reply)));
  });
  const collect = (stream) => new Promise((resolve) => {
    const got = [];
    stream.on('data', (bytes) => got.push(text(bytes)));
    stream.on('error', (error) => resolve(String(error.code)));
    stream.on('end', () => resolve(got));
  });
  seen.unary = await unary('Unary', 'hello');
  seen.large = (await unary('Unary', 'x'.repeat(5 << 20))).length;
  seen.fail = await unary('Fail', '');
  seen.late = (await unary('Wait', '', { deadline: Date.now() + 300 })).split(' ')[0];
  seen.many = await collect(peer.Many(Buffer.from('3')));
  seen.client = await new Promise((resolve) => {
    const stream = peer.Client((error, reply) => resolve(error ? String(error.code) : text(reply)));
    ['ab', '', 'cde'].forEach((part) => stream.write(Buffer.from(part)));
    stream.end();
  });
  const bidi = peer.Bidi();
  const echoes = collect(bidi);
  ['a', 'b'].forEach((part) => bidi.write(Buffer.from(part)));
  bidi.end();
  seen.bidi = await echoes;
  console.log(JSON.stringify(seen));
  peer.close();
}

if (process.argv[2] === 'client') call(process.argv[3], process.argv[4]);
else serve(process.argv[2]);
