/* The machine that a stub plays, read from the file `machine.conf` beside the stub's own library. */
#ifndef STUB_H
#define STUB_H
#define _GNU_SOURCE
#include <dlfcn.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_GPUS 16

struct gpu {
    char name[96];
    int major, minor;
    unsigned long long memory, free; /* MiB */
    char uuid[64];
    int mig, slices; /* mig: -1 no such thing, 0 off, 1 on */
    int ecc;         /* the same */
    int power;       /* mW, -1: no such thing */
    int error;       /* what NVML says when it is asked for this GPU */
    int fabric;      /* NVML_GPU_FABRIC_STATE_*, 0: not supported */
    int healthy;     /* the line of its health was read; -1 in a value: not supported */
    long long ecc_now, ecc_ever;
    int rows, rows_pending, rows_failed, pages, pages_pending;
    int generation, generation_most, width, width_most, busy, celsius, slowdown, milliwatts, reasons, persistence;
    int timed;       /* the line of its clocks was read: MHz, by enum clock; -1: not supported */
    int clock[3], clock_most[3], clock_set[3], clock_default[3], power_default;
    int processes;
    unsigned pids[8];
    unsigned long long held[8]; /* MiB */
};

static struct {
    int loaded, count;
    char driver[32];
    int cuda;       /* 13000 */
    int nvml_error; /* of nvmlInit */
    int cuinit;     /* of cuInit */
    int milliwatts, clock_low, clock_high, celsius, reasons; /* while it works; 0: no such thing */
    char hang[16], crash[16]; /* "nvml" or "cuda" */
    struct gpu gpus[MOST_GPUS];
} machine;

static void read_health(char *line) {
    struct gpu g;
    unsigned number, pid;
    unsigned long long held;
    int fields = sscanf(line, "health=%u|%lld|%lld|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d", &number, &g.ecc_now,
                        &g.ecc_ever, &g.rows, &g.rows_pending, &g.rows_failed, &g.pages, &g.pages_pending, &g.generation,
                        &g.generation_most, &g.width, &g.width_most, &g.busy, &g.celsius, &g.slowdown, &g.milliwatts,
                        &g.reasons, &g.persistence);
    if (fields == 18 && number < MOST_GPUS) {
        struct gpu *to = &machine.gpus[number];
        to->healthy = 1;
        to->ecc_now = g.ecc_now, to->ecc_ever = g.ecc_ever, to->rows = g.rows, to->rows_pending = g.rows_pending;
        to->rows_failed = g.rows_failed, to->pages = g.pages, to->pages_pending = g.pages_pending;
        to->generation = g.generation, to->generation_most = g.generation_most, to->width = g.width;
        to->width_most = g.width_most, to->busy = g.busy, to->celsius = g.celsius, to->slowdown = g.slowdown;
        to->milliwatts = g.milliwatts, to->reasons = g.reasons, to->persistence = g.persistence;
    }
    if (sscanf(line, "process=%u|%u|%llu", &number, &pid, &held) == 3 && number < MOST_GPUS &&
        machine.gpus[number].processes < 8) {
        struct gpu *to = &machine.gpus[number];
        to->pids[to->processes] = pid;
        to->held[to->processes++] = held;
    }
}

enum clock { GRAPHICS, SM, MEMORY };

static void read_clocks(char *line) {
    struct gpu g;
    unsigned number;
    int fields = sscanf(line, "clocks=%u|%d|%d|%d|%d|%d|%d|%d|%d|%d", &number, &g.clock[SM], &g.clock[MEMORY], &g.clock_most[SM],
                        &g.clock_most[MEMORY], &g.clock_set[GRAPHICS], &g.clock_set[MEMORY], &g.clock_default[GRAPHICS],
                        &g.clock_default[MEMORY], &g.power_default);
    if (fields != 10 || number >= MOST_GPUS)
        return;
    struct gpu *to = &machine.gpus[number];
    to->timed = 1;
    g.clock[GRAPHICS] = g.clock[SM], g.clock_most[GRAPHICS] = g.clock_most[SM];
    g.clock_set[SM] = g.clock_set[GRAPHICS], g.clock_default[SM] = g.clock_default[GRAPHICS];
    memcpy(to->clock, g.clock, sizeof g.clock);
    memcpy(to->clock_most, g.clock_most, sizeof g.clock);
    memcpy(to->clock_set, g.clock_set, sizeof g.clock);
    memcpy(to->clock_default, g.clock_default, sizeof g.clock);
    to->power_default = g.power_default;
}

static void read_line(char *line) {
    struct gpu *g = &machine.gpus[machine.count];
    int fields = sscanf(line, "gpu=%95[^|]|%d|%d|%llu|%llu|%63[^|]|%d|%d|%d|%d|%d|%d", g->name, &g->major, &g->minor,
                        &g->memory, &g->free, g->uuid, &g->mig, &g->slices, &g->ecc, &g->power, &g->error, &g->fabric);
    if (fields == 12 && machine.count < MOST_GPUS - 1)
        machine.count++;
    read_health(line);
    read_clocks(line);
    sscanf(line, "driver=%31s", machine.driver);
    sscanf(line, "cuda=%d", &machine.cuda);
    sscanf(line, "nvml_error=%d", &machine.nvml_error);
    sscanf(line, "cuinit=%d", &machine.cuinit);
    sscanf(line, "working=%d|%d|%d|%d|%d", &machine.milliwatts, &machine.clock_low, &machine.clock_high, &machine.celsius,
           &machine.reasons);
    sscanf(line, "hang=%15s", machine.hang);
    sscanf(line, "crash=%15s", machine.crash);
}

static void load(void) {
    Dl_info self;
    char path[4096], line[512];
    FILE *file;
    if (machine.loaded)
        return;
    machine.loaded = 1;
    dladdr((void *)&load, &self);
    snprintf(path, sizeof path - 16, "%s", self.dli_fname);
    strcat(dirname(path), "/machine.conf");
    if (!(file = fopen(path, "r")))
        return;
    while (fgets(line, sizeof line, file))
        read_line(line);
    fclose(file);
}

/* What a driver in trouble does instead of answering. */
static void misbehave(const char *library) {
    if (strcmp(machine.hang, library) == 0)
        for (;;)
            pause();
    if (strcmp(machine.crash, library) == 0)
        *(volatile int *)0 = 0;
}
#endif
