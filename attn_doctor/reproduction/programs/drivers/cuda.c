/* libcuda.so.1 of a machine that nobody has: enough of the driver API for cuInit, and for the real CUDA runtime to say
   in its own words what is wrong. It knows none of the private tables (cuGetExportTable) that the runtime asks for once
   cuInit has worked; from there on runtime.c has to stand in for the runtime. */
#include "stub.h"
#include <ctype.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, NO_DEVICE = 100, INVALID_DEVICE = 101, NOT_FOUND = 500 };

static int order[MOST_GPUS], shown = -1;

/* CUDA_VISIBLE_DEVICES by index or abbreviated UUID, up to the first entry that names no GPU. */
static int visible(void) {
    const char *setting = getenv("CUDA_VISIBLE_DEVICES");
    char text[1024], *item, *rest = text;
    load();
    if (shown >= 0)
        return shown;
    shown = 0;
    if (!setting) {
        for (; shown < machine.count; shown++)
            order[shown] = shown;
        return shown;
    }
    snprintf(text, sizeof text, "%s", setting);
    while ((item = strsep(&rest, ",")) && shown < MOST_GPUS) {
        int index = -1;
        if (strncmp(item, "GPU-", 4) == 0) {
            for (int i = 0; i < machine.count; i++)
                if (strncmp(item, machine.gpus[i].uuid, strlen(item)) == 0)
                    index = i;
        } else if (isdigit((unsigned char)*item)) {
            index = atoi(item);
        }
        if (index < 0 || index >= machine.count)
            break;
        order[shown++] = index;
    }
    return shown;
}
static struct gpu *device(int handle) { return handle >= 0 && handle < visible() ? &machine.gpus[order[handle]] : NULL; }

int cuInit(unsigned flags) {
    load();
    misbehave("cuda");
    if (machine.cuinit)
        return machine.cuinit;
    return visible() ? SUCCESS : NO_DEVICE;
}
int cuDriverGetVersion(int *out) { load(); *out = machine.cuda; return SUCCESS; }

int cuGetErrorString(int code, const char **out) {
    switch (code) {
    case 34: *out = "CUDA driver is a stub library"; break;
    case 46: *out = "CUDA-capable device(s) is/are busy or unavailable"; break;
    case 100: *out = "no CUDA-capable device is detected"; break;
    case 101: *out = "invalid device ordinal"; break;
    case 304: *out = "OS call failed or operation not supported on this OS"; break;
    case 802: *out = "system not yet initialized"; break;
    case 803: *out = "system has unsupported display driver / cuda driver combination"; break;
    case 804: *out = "forward compatibility was attempted on non supported HW"; break;
    case 999: *out = "unknown error"; break;
    default: *out = NULL; return INVALID_VALUE;
    }
    return SUCCESS;
}
int cuGetErrorName(int code, const char **out) { *out = "CUDA_ERROR_OF_THE_STUB"; return SUCCESS; }

int cuDeviceGetCount(int *out) { *out = visible(); return machine.cuinit; }
int cuDeviceGet(int *out, int ordinal) { *out = ordinal; return device(ordinal) ? SUCCESS : INVALID_DEVICE; }
int cuDeviceGetName(char *out, int size, int handle) { snprintf(out, size, "%s", device(handle)->name); return SUCCESS; }
int cuDeviceTotalMem_v2(size_t *out, int handle) { *out = device(handle)->memory << 20; return SUCCESS; }
int cuDeviceGetAttribute(int *out, int attribute, int handle) {
    struct gpu *g = device(handle);
    switch (attribute) {
    case 1: *out = 1024; break;     /* MAX_THREADS_PER_BLOCK */
    case 10: *out = 32; break;      /* WARP_SIZE */
    case 16: *out = 24; break;      /* MULTIPROCESSOR_COUNT */
    case 75: *out = g->major; break;
    case 76: *out = g->minor; break;
    default: *out = 1;
    }
    return SUCCESS;
}
int cuDeviceGetUuid(char *out, int handle) { memset(out, handle + 1, 16); return SUCCESS; }
int cuDeviceGetUuid_v2(char *out, int handle) { return cuDeviceGetUuid(out, handle); }
int cuDevicePrimaryCtxGetState(int handle, unsigned *flags, int *active) { *flags = 0; *active = 0; return SUCCESS; }

int cuGetExportTable(const void **table, const void *id) { *table = NULL; return NOT_FOUND; }
int cuGetProcAddress_v2(const char *name, void **out, int version, unsigned long long flags, int *status) {
    char newer[128];
    Dl_info self;
    void *library;
    dladdr((void *)&cuInit, &self);
    library = dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    snprintf(newer, sizeof newer, "%s_v2", name);
    *out = library ? dlsym(library, newer) : NULL;
    if (library && !*out)
        *out = dlsym(library, name);
    if (status)
        *status = *out ? 0 : 1;
    return *out ? SUCCESS : NOT_FOUND;
}
int cuGetProcAddress(const char *name, void **out, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, out, version, flags, NULL);
}

/* Looked up by PyTorch when it starts; never called without a context. */
#define UNUSED(name) int name(void) { return SUCCESS; }
UNUSED(cuMemAddressReserve) UNUSED(cuMemRelease) UNUSED(cuMemMap) UNUSED(cuMemAddressFree)
UNUSED(cuMemSetAccess) UNUSED(cuMemUnmap) UNUSED(cuMemCreate)
