# What all units of Evenkeel have alike: order, sandbox, state directory, and who is told when one fails.
{
  config,
  lib,
  pkgs,
}:
let
  cfg = config.services.evenkeel;

  # `ci-warm` for a state directory below /var/lib, which systemd makes; null for one elsewhere, which tmpfiles makes.
  stateDirectory =
    if lib.hasPrefix "/var/lib/" cfg.stateDir then lib.removePrefix "/var/lib/" cfg.stateDir else null;

  # Its 0700 would shut out the node exporter: systemd sets the mode at each start, and with it the bounds of an ACL.
  stateMode = if cfg.metrics.nodeExporter.enable then "0750" else "0700";

  # root without what it does not need. What is left: the Engine's socket, the network, the state directory and
  # Docker's volumes with files of all owners.
  sandbox = {
    NoNewPrivileges = true;
    PrivateTmp = true;
    PrivateDevices = true;
    ProtectSystem = "strict";
    ProtectHome = true;
    ProcSubset = "pid";
    ProtectProc = "invisible";
    ProtectKernelTunables = true;
    ProtectKernelModules = true;
    ProtectKernelLogs = true;
    ProtectControlGroups = true;
    ProtectClock = true;
    ProtectHostname = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    RestrictRealtime = true;
    RestrictNamespaces = true;
    # No RestrictSUIDSGID: a volume may hold set-uid files, and they come back as they were.
    RestrictAddressFamilies = [
      "AF_UNIX"
      "AF_INET"
      "AF_INET6"
    ];
    SystemCallArchitectures = "native";
    SystemCallFilter = [
      "@system-service"
      "~@clock @cpu-emulation @debug @module @mount @obsolete @raw-io @reboot @swap"
    ];
    CapabilityBoundingSet = [
      "CAP_CHOWN"
      "CAP_DAC_OVERRIDE"
      "CAP_DAC_READ_SEARCH"
      "CAP_FOWNER"
      "CAP_FSETID"
      "CAP_SETFCAP"
    ];
    UMask = "0077";
  };
in
{
  inherit sandbox stateDirectory stateMode;

  # The time to start of what may make an upgrade; `service` says why it is so much.
  long = "7d";

  # A switch neither stops nor restarts it: it may be in the middle of something. An inactive one is started again by its
  # target, with the new configuration.
  leftAlone =
    service:
    service
    // {
      restartIfChanged = false;
      unitConfig = service.unitConfig // {
        X-StopOnRemoval = false;
      };
    };

  # A service that runs `evenkeel ARGUMENTS`. `evenkeel-failed@` tells when it fails, unless it is `quiet`.
  # `credentials`: as secrets.nix names them. `asksEngine`: whether it waits for Docker and its disk; what tells of
  # failures does not. `touchesVolumes`: whether it may write to Docker's volumes.
  service =
    {
      description,
      arguments,
      after ? [ ],
      wants ? [ ],
      credentials ? [ ],
      asksEngine ? false,
      touchesVolumes ? false,
      timeout ? "1d",
      quiet ? false,
      serviceConfig ? { },
    }:
    {
      inherit description wants;
      documentation = [ "man:evenkeel(1)" ];
      # Never Requires=: a restart of Docker would end an upgrade. The program waits for the Engine and resumes.
      # With sops-nix' systemd mode nothing else orders its service before ours; elsewhere there is no such unit.
      after = [
        "network-online.target"
        "sops-install-secrets.service"
      ]
      ++ lib.optional asksEngine "docker.service"
      ++ after;
      # Nothing restarts them by itself, and what starts them often (alerts, and runs that meet an open upgrade) has to find
      # them able to start. A path unit would end for good with its service.
      startLimitIntervalSec = 0;
      onFailure = lib.optional (!quiet) "evenkeel-failed@%N.service";
      path = [
        pkgs.git
        pkgs.gnutar
        pkgs.openssh
      ];
      # As Docker's own unit: recipes and webhooks may be reached by a proxy only.
      environment =
        config.networking.proxy.envVars
        // {
          HOME = cfg.stateDir;
        }
        # Whether the host went down under an app; ProcSubset= hides where the kernel tells it.
        // lib.optionalAttrs touchesVolumes { EVENKEEL_BOOT = "%b"; };
      # A disk that is not mounted must not look like volumes that are lost.
      unitConfig.RequiresMountsFor = [ cfg.stateDir ] ++ lib.optional asksEngine cfg.dockerDataRoot;
      serviceConfig =
        sandbox
        // {
          Type = "oneshot";
          ExecStart = "${lib.getExe cfg.package} --config ${cfg.configFile} ${arguments}";
          # Finite, so that nothing hangs for ever, and out of reach: at each daemon-reload systemd arms it anew, counted from
          # the unit's start, and forgets what the program has asked for since (EXTEND_TIMEOUT_USEC). Every switch reloads,
          # and would end what has been starting for longer.
          TimeoutStartSec = timeout;
          NotifyAccess = "main";
          ReadWritePaths =
            lib.optional (stateDirectory == null) cfg.stateDir
            ++ lib.optional touchesVolumes "-${cfg.dockerDataRoot}/volumes";
        }
        // lib.optionalAttrs (stateDirectory != null) {
          StateDirectory = stateDirectory;
          StateDirectoryMode = stateMode;
        }
        // lib.optionalAttrs (credentials != [ ]) { LoadCredential = credentials; }
        // serviceConfig;
    };
}
