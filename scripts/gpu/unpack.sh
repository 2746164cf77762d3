#!/usr/bin/env bash
# Unpacks the parts that pack.mjs wrote:  bash unpack.sh PARTS DEST   in any folder, then   . DEST/enter.sh   in the checkout, in each shell.
# enter.sh brings what the kit holds into the checkout (a link to its node_modules, copies of dist and the kernels) and sets the paths. Needs xz
# or Python.
set -euo pipefail
PATH="$PATH:/sbin:/usr/sbin" # of ldconfig
parts=$(cd "$1" && pwd)
mkdir -p "$2"
dest=$(cd "$2" && pwd)
(cd "$parts" && sha256sum --quiet -c kit.sha256)
decompress() {
  if command -v xz >/dev/null; then xz -d -T0; else python3 -c 'import lzma,shutil,sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer)'; fi
}
cat "$parts"/kit.part.* | decompress | tar -C "$dest" --no-same-owner -xf -

# Where this host keeps the CUDA 13 libraries that the provider asks for: the loader's list first, then the usual folders and Python's packages.
find_library() {
  ldconfig -p | awk -v name="$1" '$1 == name && !found { print $NF; found = 1 } END { exit !found }' ||
    find /usr/local /opt /usr/lib -name "$1" -print -quit 2>/dev/null
}
folders=""
for name in libcudart.so.13 libcublas.so.13 libcublasLt.so.13 libcurand.so.10; do
  path=$(find_library "$name" || true)
  if [ -z "$path" ]; then echo "not found on this host: $name"; continue; fi
  folder=$(dirname "$path")
  case ":$folders:" in *":$folder:"*) ;; *) folders="${folders:+$folders:}$folder" ;; esac
done

cat >"$dest/enter.sh" <<END
export PATH="$dest/bin:\$PATH" LD_LIBRARY_PATH="$folders\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export ERNIE_VL_REFERENCE="$dest/reference" ERNIE_VL_CACHE="$dest/cache" ERNIE_VL_COMMIT="$(cat "$dest/commit")"
if [ -e node_modules ] && [ ! -L node_modules ]; then echo "\$PWD/node_modules is in the way: the kit's is not used"; else ln -sfn "$dest/node_modules" node_modules; fi
mkdir -p dist kernels/build && cp -r "$dest/dist/." dist/ && cp -r "$dest/kernels/build/." kernels/build/
END
"$dest/bin/node" --version
echo "CUDA libraries: ${folders:-none}"
