// The reference as Swagger UI shows it. "Try it out" calls the host that this page came from, whatever its name.
"use strict";

(async () => {
  const at = document.getElementById("explorer");
  const spec = await (await fetch(at.dataset.document)).json();
  spec.servers = [{ url: location.origin }];
  SwaggerUIBundle({
    spec,
    domNode: at,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    persistAuthorization: false,
    validatorUrl: null,
  });
})();
