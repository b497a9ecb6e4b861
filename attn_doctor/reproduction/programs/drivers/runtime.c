/* Stands in front of libcudart.so (LD_PRELOAD) where the CUDA runtime would need a real driver: device queries, and
   memory on the host's heap, so that tensors can be made. No kernel ever runs: a launch fails as STUB_LAUNCH says.
   Needs no CUDA headers: the few structures are written down here, for CUDA 13, or 12 with -DCUDA_MAJOR=12. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, MEMORY_ALLOCATION = 2, INVALID_DEVICE = 101, NO_KERNEL_IMAGE = 209 };
typedef struct { unsigned x, y, z; } dim3;

/* Places of the fields in struct cudaDeviceProp, and sizes, printed with offsetof from the headers of CUDA 12.8 and 13.0. */
#if CUDA_MAJOR == 12
enum { PROCESSORS = 388, L2_CACHE = 616, THREADS = 624, SHARED = 640, REGISTERS = 648, PROPERTIES = 1032, POINTER = 24 };
#else
enum { PROCESSORS = 384, L2_CACHE = 596, THREADS = 604, SHARED = 624, REGISTERS = 632, PROPERTIES = 1008, POINTER = 88 };
#endif
enum { NAME = 0, MEMORY = 288, SHARED_OF_BLOCK = 296, WARP = 308, THREADS_OF_BLOCK = 320, MAJOR = 360, MINOR = 364 };

extern int cuDriverGetVersion(int *), cuDeviceGetCount(int *), cuDeviceGetName(char *, int, int);
extern int cuDeviceTotalMem_v2(size_t *, int), cuDeviceGetAttribute(int *, int, int), cuInit(unsigned);

static int current;
static __thread int last;

static int start(void) { return cuInit(0); }

int cudaDriverGetVersion(int *out) { return cuDriverGetVersion(out); }
int cudaGetDeviceCount(int *out) {
    int error = start();
    *out = 0;
    return error ? error : cuDeviceGetCount(out);
}
int cudaGetDevice(int *out) { *out = current; return SUCCESS; }
int cudaSetDevice(int device) {
    int count;
    if (cudaGetDeviceCount(&count) || device < 0 || device >= count)
        return INVALID_DEVICE;
    current = device;
    return SUCCESS;
}
int cudaDeviceGetAttribute(int *out, int attribute, int device) {
    return cuDeviceGetAttribute(out, attribute, device); /* the numbers are those of the driver */
}
int cudaGetDeviceProperties(char *out, int device) {
    int count;
    if (cudaGetDeviceCount(&count) || device < 0 || device >= count)
        return INVALID_DEVICE;
    memset(out, 0, PROPERTIES);
    cuDeviceGetName(out + NAME, 256, device);
    cuDeviceTotalMem_v2((size_t *)(out + MEMORY), device);
    cuDeviceGetAttribute((int *)(out + MAJOR), 75, device);
    cuDeviceGetAttribute((int *)(out + MINOR), 76, device);
    *(size_t *)(out + SHARED_OF_BLOCK) = 48 << 10;
    *(size_t *)(out + SHARED) = 100 << 10;
    *(int *)(out + WARP) = 32;
    *(int *)(out + THREADS_OF_BLOCK) = 1024;
    *(int *)(out + THREADS) = 1536;
    *(int *)(out + PROCESSORS) = 24;
    *(int *)(out + REGISTERS) = 65536;
    *(int *)(out + L2_CACHE) = 32 << 20;
    return SUCCESS;
}
int cudaGetDeviceProperties_v2(char *out, int device) { return cudaGetDeviceProperties(out, device); }
int cudaDeviceCanAccessPeer(int *out, int one, int other) { *out = 0; return SUCCESS; }
int cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return SUCCESS; }
int cudaGetLastError(void) { int error = last; last = SUCCESS; return error; }
int cudaPeekAtLastError(void) { return last; }

int cudaMemGetInfo(size_t *available, size_t *total) {
    cuDeviceTotalMem_v2(total, current);
    *available = *total - ((size_t)300 << 20);
    return SUCCESS;
}
int cudaMalloc(void **out, size_t size) {
    *out = NULL;
    if (getenv("STUB_OUT_OF_MEMORY") || posix_memalign(out, 512, size ? size : 512))
        return MEMORY_ALLOCATION;
    return SUCCESS;
}
int cudaFree(void *block) { free(block); return SUCCESS; }
int cudaMemcpy(void *to, const void *from, size_t size, int kind) {
    memcpy(to, from, size);
    return SUCCESS;
}
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
    return cudaMemcpy(to, from, size, kind);
}
int cudaMemsetAsync(void *block, int value, size_t size, void *stream) {
    memset(block, value, size);
    return SUCCESS;
}
int cudaPointerGetAttributes(void *out, const void *pointer) {
    memset(out, 0, POINTER);
    return SUCCESS;
}

int cudaDeviceSynchronize(void) { return SUCCESS; }
int cudaStreamSynchronize(void *stream) { return SUCCESS; }
int cudaStreamIsCapturing(void *stream, int *out) {
    *out = 0;
    return SUCCESS;
}
int cudaStreamCreateWithPriority(void **out, unsigned flags, int priority) {
    *out = malloc(8);
    return SUCCESS;
}
int cudaEventCreateWithFlags(void **out, unsigned flags) { *out = malloc(8); return SUCCESS; }
int cudaEventRecord(void *event, void *stream) { return SUCCESS; }
int cudaEventQuery(void *event) { return SUCCESS; }

static int refuse(void) {
    const char *code = getenv("STUB_LAUNCH");
    if (code && code[0] == 'h') /* "hang" */
        for (;;)
            pause();
    return last = code ? atoi(code) : NO_KERNEL_IMAGE;
}
int cudaLaunchKernel(const void *f, dim3 grid, dim3 block, void **arguments, size_t shared, void *stream) {
    return refuse();
}
int __cudaLaunchKernel(const void *f, dim3 grid, dim3 block, void **arguments, size_t shared, void *s) {
    return refuse();
}
int cudaLaunchKernelExC(const void *config, const void *f, void **arguments) { return refuse(); }
int cudaFuncSetAttribute(const void *f, int attribute, int value) { return SUCCESS; }
int cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *out, const void *f, int block, size_t shared) {
    *out = 1;
    return SUCCESS;
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *out, const void *f, int block, size_t shared,
                                                                   unsigned flags) {
    *out = 1;
    return SUCCESS;
}

/* PyTorch fetches driver functions through the runtime; one that the stub lacks does nothing, successfully. */
static int nothing(void) { return 0; }
static int entry(const char *name, void **out, int *result) {
    if (!(*out = dlsym(RTLD_DEFAULT, name)))
        *out = (void *)nothing;
    if (result)
        *result = 0;
    return SUCCESS;
}
int cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version, unsigned long long flags,
                                             int *result) {
    return entry(name, out, result);
}
