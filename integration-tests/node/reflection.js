// Lists the services that reflection knows, and calls one that was learnt only by it.
const { GrpcReflection } = require('grpc-js-reflection-client');
const grpc = require('@grpc/grpc-js');

async function main(address) {
  const client = new GrpcReflection(address, grpc.ChannelCredentials.createInsecure());
  const services = await client.listServices();
  const methods = await client.listMethods('penstock.admin.v1.ApiService');
  const descriptor = await client.getDescriptorBySymbol('penstock.admin.v1.ApiGroupService');
  const package_ = descriptor.getPackageObject({ keepCase: true });
  const groups = new package_.penstock.admin.v1.ApiGroupService(address, grpc.credentials.createInsecure());
  const list = await new Promise((done, fail) =>
    groups.ListApiGroups({}, (error, reply) => (error ? fail(error) : done(reply))));
  console.log(JSON.stringify({ services, methods: methods.map((method) => method.name), groups: list.groups.length }));
  groups.close();
}

main(process.argv[2]).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
