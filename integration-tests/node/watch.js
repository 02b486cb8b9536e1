// What grpc-js gets of WatchService/Watch, known by reflection alone: COUNT events of apps, as JSON.
const { GrpcReflection } = require('grpc-js-reflection-client');
const grpc = require('@grpc/grpc-js');

async function main(address, count) {
  const reflection = new GrpcReflection(address, grpc.ChannelCredentials.createInsecure());
  const descriptor = await reflection.getDescriptorBySymbol('penstock.admin.v1.WatchService');
  const { penstock } = descriptor.getPackageObject({ keepCase: true, enums: String, longs: String });
  const events = [];
  return new Promise((done, fail) => {
    const client = new penstock.admin.v1.WatchService(address, grpc.credentials.createInsecure());
    const call = client.Watch({ kinds: ['apps'], after_revision: process.argv[4] });
    call.on('error', (error) => events.length < count && fail(error));
    call.on('data', (answer) => {
      events.push(...(answer.events || []).map(({ type, name, app }) => ({ type, name, key: app ? app.display_name : null })));
      if (events.length >= count) {
        call.cancel();
        done(events);
      }
    });
  });
}

main(process.argv[2], Number(process.argv[3])).then((events) => { console.log(JSON.stringify(events)); process.exit(0); },
  (error) => { console.error(error); process.exit(1); });
