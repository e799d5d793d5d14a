// What Swagger UI leaves to be guessed by those who cannot see the page.
const names = () => ({
  wrapComponents: {
    TextArea: (Original, { React }) => (props) =>
      React.createElement(Original, { "aria-label": "Body of the request", ...props }),
    CloseIcon: (Original, { React }) => () =>
      React.createElement(Original, { role: "img", "aria-label": "Close", "aria-hidden": false }),
    // The one server is no choice, and the field that offers it has no name.
    ServersContainer: () => () => null,
    // A link inside of the button that opens a call cannot be reached without a mouse. The address
    // says which call is open all the same.
    DeepLink: (_, { React }) => ({ text }) => React.createElement("span", null, text),
  },
});

SwaggerUIBundle({
  url: "/v2/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  plugins: [names],
  // Its default asks a server on the internet.
  validatorUrl: null,
});
