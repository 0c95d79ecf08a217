# A cache of Docker Hub: what was pulled once comes from this host. Hub's limits count for the rest.
{ config, ... }:
{
  services.dockerRegistry = {
    enable = true;
    enableDelete = true;
    extraConfig.proxy = {
      remoteurl = "https://registry-1.docker.io";
      ttl = "168h";
    };
  };
  # The login as a file: extraConfig is readable for everybody.
  systemd.services.docker-registry = {
    after = [ "sops-install-secrets.service" ];
    serviceConfig.EnvironmentFile = config.sops.templates."registry-cache.env".path;
  };

  virtualisation.docker.daemon.settings.registry-mirrors = [ "http://127.0.0.1:5000" ];
}
