#!/bin/sh
# Whether ONNX Runtime's CUDA provider finds its libraries in this image: check-provider.sh FOLDER CUDA_VERSION [SHA256]
# No GPU is needed. The driver's own library (libcuda.so.1) comes with the machine and may be missing.
set -eu
folder=$1
cuda=${2%%.*}
wanted=${3:-}
provider=$folder/libonnxruntime_providers_cuda.so

fail() {
  echo "The image can't use a GPU: $1" >&2
  exit 1
}

test -f "$provider" || fail "$provider was not fetched."
digest=$(sha256sum "$provider" | cut -d ' ' -f 1)
echo "provider sha256 $digest"
if [ -n "$wanted" ] && [ "$wanted" != "$digest" ]; then
  fail "the provider's SHA-256 should be $wanted."
fi
for library in "$provider" "$folder/libonnxruntime_providers_shared.so" "$folder/onnxruntime_binding.node"; do
  found=$(ldd "$library" 2>&1) || fail "$library can't be read: $found"
  missing=$(echo "$found" | grep 'not found' | grep -v 'libcuda\.so\.1' || true)
  if [ -n "$missing" ]; then
    fail "$library lacks libraries, or newer ones, in CUDA $cuda: $missing"
  fi
done
built=$(ldd "$provider" | sed -n 's/.*libcublas\.so\.\([0-9]*\).*=>.*/\1/p')
[ "$built" = "$cuda" ] || fail "the provider is built for CUDA ${built:-?}, the image has $cuda."
echo "provider built for CUDA $built; all its libraries are there"
