/* A stand-in for libcuda.so.1: it says which CUDA it supports, and refuses with an error code. The words for the refusal are
   those of the real CUDA runtime, which asks here. Compiled with -DSUPPORTS=12040 -DREFUSAL=803. */
#include <string.h>

typedef unsigned long long flags;

int cuInit(unsigned options) { return REFUSAL; }
int cuDriverGetVersion(int *version) {
    *version = SUPPORTS;
    return 0;
}
static int refuse(void) { return REFUSAL ? REFUSAL : 3; /* not initialized */ }

int cuGetProcAddress_v2(const char *name, void **out, int version, flags options, int *status) {
    *out = (void *)refuse;
    if (strcmp(name, "cuInit") == 0)
        *out = (void *)cuInit;
    if (strcmp(name, "cuDriverGetVersion") == 0)
        *out = (void *)cuDriverGetVersion;
    if (strcmp(name, "cuGetProcAddress") == 0)
        *out = (void *)cuGetProcAddress_v2;
    if (status)
        *status = 0;
    return 0;
}
int cuGetProcAddress(const char *name, void **out, int version, flags options) {
    return cuGetProcAddress_v2(name, out, version, options, 0);
}
