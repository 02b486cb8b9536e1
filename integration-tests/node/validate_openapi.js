// Reads a document as an outside validator does: schema of OpenAPI, then its rules. Prints {"valid": ..., "errors": [...]}.
"use strict";
const SwaggerParser = require("@apidevtools/swagger-parser");

SwaggerParser.validate(process.argv[2]).then(
  (api) => console.log(JSON.stringify({ valid: true, version: api.openapi || api.swagger, paths: Object.keys(api.paths) })),
  (error) => console.log(JSON.stringify({ valid: false, errors: [error.message] })));
