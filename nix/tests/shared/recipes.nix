# The app of the tests: images of the program's own demo app, and versions of a recipe that runs them. What a version needs
# lies in the store, so that no registry and no network is asked.
{ evenkeel, pkgs }:
let
  root = pkgs.runCommand "demo-app" { } ''
    mkdir -p $out/data
    cp ${evenkeel}/bin/.evenkeel-wrapped $out/evenkeel
  '';
  image =
    tag:
    pkgs.dockerTools.buildImage {
      name = "evenkeel-demo";
      inherit tag;
      copyToRoot = root;
      config = {
        Entrypoint = [
          "/evenkeel"
          "demo-app"
        ];
        Env = [ "VERSION=${tag}" ];
      };
    };

  # It counts its visits in the volume. A newer schema migrates the data, and an older version does not read it any more.
  compose =
    {
      image,
      schema ? "1",
      fails ? "",
    }:
    pkgs.writeTextDir "compose.yml" ''
      version: "3.8"
      services:
        app:
          image: "evenkeel-demo:${image}"
          networks: [proxy]
          environment:
            SCHEMA: "${schema}"
            ${fails}
          volumes: ["data:/data"]
          healthcheck:
            test: ["CMD", "/evenkeel", "demo-app", "--check"]
            interval: 1s
            timeout: 3s
            retries: 5
            start_period: 10s
          deploy:
            labels:
              - "traefik.enable=true"
              - "traefik.http.services.''${STACK_NAME}.loadbalancer.server.port=8080"
              - "traefik.http.routers.''${STACK_NAME}.rule=Host(`''${DOMAIN}`)"
              - "traefik.http.routers.''${STACK_NAME}.entrypoints=web-secure"
              - "traefik.http.routers.''${STACK_NAME}.tls=true"
      networks:
        proxy:
          external: true
      volumes:
        data:
    '';
in
{
  images = [
    (image "1.0.0")
    (image "1.1.0")
    (pkgs.dockerTools.buildImage {
      name = "traefik";
      tag = "v3.6.12";
      copyToRoot = pkgs.traefik;
      config = {
        Entrypoint = [ "/bin/traefik" ];
        Env = [ "PATH=/bin" ];
      };
    })
  ];

  # What `publish NAME` makes a version of the recipe.
  versions = {
    first = {
      tag = "1.0.0+1.0.0";
      files = compose { image = "1.0.0"; };
    };
    good = {
      tag = "1.1.0+1.1.0";
      files = compose {
        image = "1.1.0";
        schema = "2";
      };
    };
    bad = {
      tag = "1.2.0+1.1.0";
      files = compose {
        image = "1.1.0";
        schema = "3";
        fails = ''FAIL_AFTER: "0"'';
      };
    };
    major = {
      tag = "2.0.0+1.1.0";
      files = compose { image = "1.1.0"; };
    };
  };

  proxy = {
    tag = "5.1.0+v3.6.12";
    files = "${../../../tests/fixtures/recipes/traefik}/5.1.0+v3.6.12";
  };
}
