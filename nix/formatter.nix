# `nix fmt`: Rust and Nix, but for the dense stand-in. With `--check` it changes nothing, and fails where it would.
{
  writeShellApplication,
  cargo,
  findutils,
  nixfmt,
  rustfmt,
}:
writeShellApplication {
  name = "evenkeel-format";
  runtimeInputs = [
    cargo
    findutils
    nixfmt
    rustfmt
  ];
  # Some versions of Nix pass the folder or files on: always everything is formatted.
  text = ''
    check=()
    for argument in "$@"; do [ "$argument" != --check ] || check=(--check); done
    until [ -e flake.nix ]; do cd ..; done
    cargo fmt "''${check[@]}"
    find . -name '*.nix' -not -path './target/*' -not -path './tests/nixos/stand-in/*' -print0 | xargs -0 nixfmt "''${check[@]}"
  '';
}
