# Settings of Docker and of the firewall that are refused. Each has to trip its own assertion, and no other.
{
  no-docker.settings.virtualisation.docker.enable = false;
  live-restore.settings.virtualisation.docker.liveRestore = true;
  live-restore-in-the-daemons-settings.settings.virtualisation.docker.daemon.settings.live-restore =
    true;
  docker-not-on-boot.settings.virtualisation.docker.enableOnBoot = false;
  prune-all-volumes.settings.virtualisation.docker.autoPrune.allVolumes.enable = true;
  prune-all.settings.virtualisation.docker.autoPrune.flags = [ "--all" ];
  prune-all-in-short.settings.virtualisation.docker.autoPrune.flags = [ "-af" ];
  prune-all-with-a-value.settings.virtualisation.docker.autoPrune.flags = [ "-a=true" ];
  prune-all-after-a-tab.settings.virtualisation.docker.autoPrune.flags = [ "--force\t--all" ];
  prune-volumes.settings.virtualisation.docker.autoPrune.flags = [ "--force --volumes" ];
  no-logs.settings.virtualisation.docker.logDriver = "none";
  logs-without-bound.settings.virtualisation.docker.logDriver = "json-file";
  other-data-root.settings = {
    virtualisation.docker.daemon.settings.data-root = "/data/docker";
    services.evenkeel.dockerDataRoot = "/var/lib/docker";
  };
  data-root-in-the-options.settings.virtualisation.docker.extraOptions =
    "--debug --data-root=/data/docker";
  data-root-in-the-options-in-short.settings.virtualisation.docker.extraOptions = "-g /data/docker";
  other-users.settings.virtualisation.docker.daemon.settings.userns-remap = "default";
  other-users-in-the-options.settings.virtualisation.docker.extraOptions = "--userns-remap default";
  closed-firewall.settings.services.evenkeel = {
    proxy.recipe.url = "https://git.example.org/recipes/traefik.git";
    openFirewall = false;
  };
  firewall-with-one-port.settings = {
    networking.firewall.allowedTCPPorts = [ 443 ];
    services.evenkeel = {
      proxy.recipe.url = "https://git.example.org/recipes/traefik.git";
      openFirewall = false;
    };
  };
}
