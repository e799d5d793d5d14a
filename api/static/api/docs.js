SwaggerUIBundle({
  url: "/v2/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  // Its default asks a server on the internet.
  validatorUrl: null,
});
