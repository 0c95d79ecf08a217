# `nix fmt`: Rust and Nix. With `--check` it changes nothing and fails where something would change.
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
    find . -name '*.nix' -not -path './target/*' -print0 | xargs -0 nixfmt "''${check[@]}"
  '';
}
