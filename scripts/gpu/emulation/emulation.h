// What the two halves of the emulated GPU share.

#include <cuda_runtime_api.h>
#include <stddef.h>

static const size_t totalBytes = (size_t)80 << 30;

/** Writes a line to the log. */
void note(const char* format, ...);
/** Notes it, and hands the code back. */
cudaError_t misuse(const char* what, cudaError_t code);
/** Notes calls that CUDA refuses while a stream is captured. */
int isRefusedInCapture(const char* call);

/** Of the device's memory; 0 when there is not so much left. */
int takeBytes(size_t size);
void giveBytes(size_t size);

/** Whether work may use what lies there; notes when it is addresses without memory. */
int isUsable(const void* address, size_t size, const char* work);
/** Whether it is whole pages at reserved addresses, which are full of zeros now and cost the host nothing. */
int clearPages(void* address, size_t size);
