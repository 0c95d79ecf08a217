# What the tests have in common: a host with a proxy and the app `notes`, without a network. On it are the commands
#   publish NAME    makes a version of recipes.nix a version of the recipe
#   page            what notes answers, through the proxy, with the declared certificate
#   unit-of UNIT    when a unit was started last, and how it ended
{
  evenkeel,
  lib,
  module,
  pkgs,
}:
let
  recipes = import ./recipes.nix { inherit evenkeel pkgs; };

  # commit REPOSITORY TAG FOLDER
  commit = pkgs.writeShellApplication {
    name = "commit";
    runtimeInputs = [ pkgs.git ];
    text = ''
      git init --quiet "$1"
      cp --recursive --no-preserve=mode --no-target-directory "$3" "$1"
      cd "$1"
      git add --all
      git -c user.name=Test -c user.email=test@example.org commit --quiet --allow-empty --message "$2"
      git tag "$2"
    '';
  };
  publish = pkgs.writeShellApplication {
    name = "publish";
    runtimeInputs = [ commit ];
    text = ''
      case $1 in
        ${lib.concatStringsSep "\n  " (
          lib.mapAttrsToList (
            name: version: "${name}) commit /srv/notes ${version.tag} ${version.files} ;;"
          ) recipes.versions
        )}
        *) exit 64 ;;
      esac
    '';
  };
  page = pkgs.writeShellApplication {
    name = "page";
    runtimeInputs = [ pkgs.curl ];
    text = ''
      curl --fail --silent --show-error --max-time 10 --cacert /srv/certificate/chain.pem \
        --resolve notes.example.org:443:127.0.0.1 https://notes.example.org/
    '';
  };
  unitOf = pkgs.writeShellApplication {
    name = "unit-of";
    text = ''
      systemctl show --property InvocationID,ActiveState,Result,ExecMainStatus "$1"
    '';
  };
in
{ config, ... }:
{
  imports = [ module ];

  virtualisation = {
    memorySize = 2048;
    diskSize = 8192;
  };
  system.switch.enable = true;
  environment.systemPackages = [
    page
    pkgs.jq
    publish
    unitOf
  ];

  services.evenkeel = {
    enable = true;
    baseDomain = "example.org";
    certificate = {
      chain = "/srv/certificate/chain.pem";
      key = "/srv/certificate/key.pem";
    };
    proxy = {
      recipe.url = "/srv/traefik";
      compose = [
        "compose.yml"
        "compose.host.yml"
        "compose.wildcard.yml"
      ];
      env.WILDCARDS_ENABLED = "1";
      resolve = "never";
      gate.stableFor = "5s";
    };
    apps.notes = {
      recipe.url = "/srv/notes";
      resolve = "never";
      gate.stableFor = "16s";
    };
  };

  # Images, recipes and a certificate, once: what registry, git server and authority are to a real host.
  systemd.services.world = {
    description = "What this host would have from elsewhere";
    wantedBy = [ "multi-user.target" ];
    after = [ "docker.service" ];
    wants = [ "docker.service" ];
    before = [
      "evenkeel-swarm.service"
      "evenkeel-proxy.service"
      "evenkeel-app.service"
    ];
    path = [
      commit
      config.virtualisation.docker.package
      pkgs.openssl
      publish
    ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
    };
    script = ''
      [ ! -e /srv/notes ] || exit 0
      ${lib.concatMapStringsSep "\n" (image: "docker load --quiet --input ${image}") recipes.images}
      mkdir -p /srv/certificate
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=example.org \
        -addext 'subjectAltName=DNS:example.org,DNS:*.example.org' \
        -keyout /srv/certificate/key.pem -out /srv/certificate/chain.pem
      commit /srv/traefik ${recipes.proxy.tag} ${recipes.proxy.files}
      publish first
    '';
  };
}
