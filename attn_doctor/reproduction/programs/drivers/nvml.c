/* libnvidia-ml.so.1 of a machine that nobody has: the calls that nvidia-ml-py makes for the doctor and for PyTorch. */
#include "stub.h"

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

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
static int clock_of(struct gpu *g, const int *clocks, int kind, unsigned *out) {
    if (!g->timed || kind < GRAPHICS || kind > MEMORY || clocks[kind] < 0)
        return NOT_SUPPORTED;
    *out = clocks[kind];
    return SUCCESS;
}
int nvmlDeviceGetMaxClockInfo(struct gpu *g, int kind, unsigned *out) { return clock_of(g, g->clock_most, kind, out); }
int nvmlDeviceGetApplicationsClock(struct gpu *g, int kind, unsigned *out) { return clock_of(g, g->clock_set, kind, out); }
int nvmlDeviceGetDefaultApplicationsClock(struct gpu *g, int kind, unsigned *out) {
    return clock_of(g, g->clock_default, kind, out);
}
int nvmlDeviceGetPowerManagementDefaultLimit(struct gpu *g, unsigned *out) {
    *out = g->power_default;
    return g->timed && g->power_default >= 0 ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetClockInfo(struct gpu *g, int kind, unsigned *out) {
    static int looks;
    if (!machine.clock_high)
        return clock_of(g, g->clock, kind, out);
    *out = looks++ % 2 ? machine.clock_high : machine.clock_low;
    return kind == 1 && machine.clock_high ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetTemperature(struct gpu *g, int sensor, unsigned *out) {
    *out = machine.celsius ? machine.celsius : g->celsius;
    return sensor == 0 && *out ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(struct gpu *g, unsigned long long *out) {
    *out = machine.reasons | g->reasons;
    return SUCCESS;
}

/* Health. A GPU without its line answers as one that has none of it. */
static int told(struct gpu *g, long long value, unsigned *out) {
    *out = (unsigned)value;
    return g->healthy && value >= 0 ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetTotalEccErrors(struct gpu *g, int kind, int counter, unsigned long long *out) {
    long long value = counter == 0 ? g->ecc_now : g->ecc_ever;
    *out = value;
    return g->healthy && kind == 1 && value >= 0 ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetRemappedRows(struct gpu *g, unsigned *corrected, unsigned *rows, unsigned *pending, unsigned *failed) {
    *corrected = 0;
    *pending = g->rows_pending == 1;
    *failed = g->rows_failed == 1;
    return told(g, g->rows, rows);
}
/* Half of the pages for each cause; the first call asks for the number. */
int nvmlDeviceGetRetiredPages(struct gpu *g, int cause, unsigned *count, unsigned long long *addresses) {
    unsigned there = g->pages < 0 ? 0 : cause == 0 ? g->pages / 2 : g->pages - g->pages / 2;
    if (!g->healthy || g->pages < 0)
        return NOT_SUPPORTED;
    if (*count < there || (there && !addresses)) {
        *count = there;
        return INSUFFICIENT_SIZE;
    }
    *count = there;
    for (unsigned i = 0; i < there; i++)
        addresses[i] = 4096ull * i;
    return SUCCESS;
}
int nvmlDeviceGetRetiredPagesPendingStatus(struct gpu *g, unsigned *out) { return told(g, g->pages_pending, out); }
int nvmlDeviceGetCurrPcieLinkGeneration(struct gpu *g, unsigned *out) { return told(g, g->generation, out); }
int nvmlDeviceGetMaxPcieLinkGeneration(struct gpu *g, unsigned *out) { return told(g, g->generation_most, out); }
int nvmlDeviceGetCurrPcieLinkWidth(struct gpu *g, unsigned *out) { return told(g, g->width, out); }
int nvmlDeviceGetMaxPcieLinkWidth(struct gpu *g, unsigned *out) { return told(g, g->width_most, out); }
int nvmlDeviceGetUtilizationRates(struct gpu *g, unsigned *out) {
    out[1] = 0;
    return told(g, g->busy, out);
}
int nvmlDeviceGetTemperatureThreshold(struct gpu *g, int kind, unsigned *out) {
    return kind == 1 ? told(g, g->slowdown, out) : NOT_SUPPORTED;
}
int nvmlDeviceGetPowerUsage(struct gpu *g, unsigned *out) { return told(g, g->milliwatts, out); }
int nvmlDeviceGetPersistenceMode(struct gpu *g, unsigned *out) { return told(g, g->persistence, out); }
typedef struct { char old[16]; unsigned domain, bus, device, id, subsystem; char name[32]; } pci_info;
int nvmlDeviceGetPciInfo_v3(struct gpu *g, pci_info *out) {
    memset(out, 0, sizeof *out);
    out->bus = 0x10 + (unsigned)(g - machine.gpus);
    return SUCCESS;
}
typedef struct { unsigned pid; unsigned long long used; unsigned gpu, compute; } process_info;
int nvmlDeviceGetComputeRunningProcesses_v3(struct gpu *g, unsigned *count, process_info *list) {
    if ((int)*count < g->processes) {
        *count = g->processes;
        return INSUFFICIENT_SIZE;
    }
    *count = g->processes;
    for (int i = 0; i < g->processes; i++)
        list[i].pid = g->pids[i], list[i].used = g->held[i] << 20, list[i].gpu = list[i].compute = 0xffffffff;
    return SUCCESS;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(struct gpu *g, unsigned *count, process_info *list) {
    (void)g, (void)list;
    *count = 0;
    return SUCCESS;
}
int nvmlSystemGetProcessName(unsigned pid, char *out, unsigned size) {
    snprintf(out, size, "/home/user/secret-project/bin/python%u train.py", pid % 10);
    return SUCCESS;
}

/* Asked by PyTorch's allocator and symmetric memory. */
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, struct gpu **out) { return nvmlDeviceGetHandleByIndex_v2(0, out); }
int nvmlDeviceGetComputeRunningProcesses(struct gpu *g, unsigned *count, void *list) { *count = 0; return SUCCESS; }
