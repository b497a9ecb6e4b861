/* libnvidia-ml.so.1 of a machine that nobody has: the calls that nvidia-ml-py makes for the doctor and for PyTorch. */
#include "stub.h"

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6 };

typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned version; unsigned char cluster[16]; unsigned status, clique; unsigned char state; } fabric_v2;
typedef struct { struct gpu *of; int number; } mig_device;

static mig_device migs[MOST_GPUS][8];

int nvmlInitWithFlags(unsigned flags) { load(); misbehave("nvml"); return machine.nvml_error; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int code) {
    switch (code) {
    case 0: return "Success";
    case 9: return "Driver Not Loaded";
    case 12: return "NVML Shared Library Not Found";
    case 15: return "GPU is lost";
    case 17: return "The operating system has blocked the request.";
    case 18: return "Driver/library version mismatch";
    case 999: return "Unknown Error";
    default: return "An error of the stub";
    }
}

int nvmlSystemGetDriverVersion(char *out, unsigned size) { snprintf(out, size, "%s", machine.driver); return SUCCESS; }
int nvmlSystemGetNVMLVersion(char *out, unsigned size) { snprintf(out, size, "13.%s", machine.driver); return SUCCESS; }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = machine.cuda; return SUCCESS; }
int nvmlSystemGetCudaDriverVersion(int *out) { *out = machine.cuda; return SUCCESS; }

int nvmlDeviceGetCount_v2(unsigned *out) { load(); *out = machine.count; return SUCCESS; }
int nvmlDeviceGetCount(unsigned *out) { return nvmlDeviceGetCount_v2(out); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct gpu **out) {
    load();
    if ((int)index >= machine.count)
        return INVALID_ARGUMENT;
    *out = &machine.gpus[index];
    return machine.gpus[index].error;
}
int nvmlDeviceGetHandleByIndex(unsigned index, struct gpu **out) { return nvmlDeviceGetHandleByIndex_v2(index, out); }

static mig_device *as_mig(struct gpu *handle) {
    mig_device *mig = (mig_device *)handle;
    return mig >= &migs[0][0] && mig < &migs[MOST_GPUS][0] ? mig : NULL;
}
int nvmlDeviceGetName(struct gpu *g, char *out, unsigned size) { snprintf(out, size, "%s", g->name); return SUCCESS; }
int nvmlDeviceGetUUID(struct gpu *g, char *out, unsigned size) {
    mig_device *mig = as_mig(g);
    if (mig)
        snprintf(out, size, "MIG-%08d-%s", mig->number, mig->of->uuid + 4 /* past "GPU-" */);
    else
        snprintf(out, size, "%s", g->uuid);
    return SUCCESS;
}
int nvmlDeviceGetCudaComputeCapability(struct gpu *g, int *major, int *minor) {
    *major = g->major;
    *minor = g->minor;
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(struct gpu *g, memory_v1 *out) {
    if (!g->memory)
        return NOT_SUPPORTED; /* as on GB10, which shares the machine's */
    out->total = g->memory << 20;
    out->free = g->free << 20;
    out->used = out->total - out->free;
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(struct gpu *g, memory_v2 *out) {
    memory_v1 v1;
    int code = nvmlDeviceGetMemoryInfo(g, &v1);
    if (code == SUCCESS)
        out->total = v1.total, out->free = v1.free, out->used = v1.used, out->reserved = 0;
    return code;
}
int nvmlDeviceGetMigMode(struct gpu *g, unsigned *now, unsigned *next) {
    *now = *next = g->mig == 1;
    return g->mig < 0 ? NOT_SUPPORTED : SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(struct gpu *g, unsigned *out) { *out = g->mig < 0 ? 0 : 7; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(struct gpu *g, unsigned number, mig_device **out) {
    if ((int)number >= g->slices)
        return NOT_FOUND;
    *out = &migs[g - machine.gpus][number];
    (*out)->of = g;
    (*out)->number = number;
    return SUCCESS;
}
int nvmlDeviceGetEccMode(struct gpu *g, unsigned *now, unsigned *next) {
    *now = *next = g->ecc == 1;
    return g->ecc < 0 ? NOT_SUPPORTED : SUCCESS;
}
int nvmlDeviceGetEnforcedPowerLimit(struct gpu *g, unsigned *out) {
    *out = g->power;
    return g->power < 0 ? NOT_SUPPORTED : SUCCESS;
}
int nvmlDeviceGetGpuFabricInfoV(struct gpu *g, fabric_v2 *out) {
    out->state = g->fabric;
    return g->fabric ? SUCCESS : NOT_SUPPORTED;
}

/* What changes while a GPU works: the clock is low and high in turns. */
int nvmlDeviceGetHandleByUUID(const char *uuid, struct gpu **out) {
    load();
    for (int i = 0; i < machine.count; i++)
        if (strcmp(machine.gpus[i].uuid, uuid) == 0)
            return nvmlDeviceGetHandleByIndex_v2(i, out);
    return NOT_FOUND;
}
int nvmlDeviceGetTotalEnergyConsumption(struct gpu *g, unsigned long long *out) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *out = 5000000 + (unsigned long long)((now.tv_sec + now.tv_nsec / 1e9) * machine.milliwatts);
    return machine.milliwatts ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetClockInfo(struct gpu *g, int kind, unsigned *out) {
    static int looks;
    *out = looks++ % 2 ? machine.clock_high : machine.clock_low;
    return kind == 1 && machine.clock_high ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetTemperature(struct gpu *g, int sensor, unsigned *out) {
    *out = machine.celsius;
    return sensor == 0 && machine.celsius ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(struct gpu *g, unsigned long long *out) {
    *out = machine.reasons;
    return SUCCESS;
}

/* Asked by PyTorch's allocator and symmetric memory. */
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, struct gpu **out) { return nvmlDeviceGetHandleByIndex_v2(0, out); }
int nvmlDeviceGetComputeRunningProcesses(struct gpu *g, unsigned *count, void *list) { *count = 0; return SUCCESS; }
int nvmlDeviceGetComputeRunningProcesses_v3(struct gpu *g, unsigned *count, void *list) { *count = 0; return SUCCESS; }
