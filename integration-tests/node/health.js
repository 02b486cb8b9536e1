// grpc.health.v1: Check and the first answer of Watch.
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const definition = loader.loadSync('/usr/share/grpc-proto/grpc/health/v1/health.proto', { enums: String });
const { Health } = grpc.loadPackageDefinition(definition).grpc.health.v1;
const client = new Health(process.argv[2], grpc.credentials.createInsecure());

client.check({ service: '' }, (error, reply) => {
  if (error) { console.error(error); process.exit(1); }
  const watch = client.watch({ service: '' });
  watch.on('error', () => {});
  watch.on('data', (update) => {
    console.log(JSON.stringify({ '': reply.status, watch: update.status }));
    watch.cancel();
    process.exit(0);
  });
});
