// SPDX-License-Identifier: MIT
//
// Stands in for NVIDIA's driver, libcuda.so.1, where there is none: what cuda.core and cuda.bindings call for a launch and for
// a texture succeeds and is told on standard output, so that a test sees what would reach a card. One context, 0xc0.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *Handle;
enum { OK, MAJOR = 75, MINOR };  // attributes: the compute capability, 9.0

#define TELL(...) (printf(__VA_ARGS__), putchar('\n'), fflush(stdout), OK)
#define ANSWER(name, parameters, statement) \
    int name parameters {                   \
        statement;                          \
        return OK;                          \
    }

static __thread Handle context;
static char kernel_name[128];

ANSWER(cuInit, (unsigned flags), (void)flags)
ANSWER(cuDriverGetVersion, (int *version), *version = 13000)
ANSWER(cuDeviceGetCount, (int *count), *count = 1)
ANSWER(cuDeviceGet, (int *device, int index), *device = index)
ANSWER(cuDeviceGetAttribute, (int *value, int what), *value = what == MAJOR ? 9 : what != MINOR)
ANSWER(cuDevicePrimaryCtxRetain, (Handle *made), *made = (Handle)0xc0)
ANSWER(cuDevicePrimaryCtxRelease_v2, (int device), (void)device)
ANSWER(cuCtxSetCurrent, (Handle wanted), context = wanted)
ANSWER(cuCtxGetCurrent, (Handle *found), *found = context)
ANSWER(cuCtxGetDevice, (int *device), *device = 0)
ANSWER(cuStreamGetCtx, (Handle stream, Handle *found), ((void)stream, *found = (Handle)0xc0))
ANSWER(cuGetErrorName, (int error, const char **text), ((void)error, *text = "CUDA_ERROR_FAKE"))
ANSWER(cuGetErrorString, (int error, const char **text), ((void)error, *text = "an error of the stand-in"))
ANSWER(cuLibraryUnload, (Handle library), (void)library)
ANSWER(cuKernelGetFunction, (Handle *function, Handle kernel), *function = kernel)

int cuLibraryLoadData(Handle *library, const char *code) {
    *library = (Handle)0x11;
    return TELL("load %.3s", code + 1);
}

int cuLibraryGetKernel(Handle *kernel, Handle library, const char *name) {
    *kernel = library;
    snprintf(kernel_name, sizeof kernel_name, "%s", name);
    return OK;
}

// Arguments are told as the letters in KINDS say: p, i, f.
struct Launch {
    unsigned grid[3], block[3], shared_bytes;
    Handle stream, attributes;
    unsigned n_attributes;
};

int cuLaunchKernelEx(const struct Launch *launch, Handle function, void **arguments, void **extra) {
    (void)function, (void)extra;
    printf("launch %s grid %u %u %u block %u %u %u", kernel_name, launch->grid[0], launch->grid[1], launch->grid[2],
           launch->block[0], launch->block[1], launch->block[2]);
    printf(" shared %u stream %lx context %lx:", launch->shared_bytes, (long)launch->stream, (long)context);
    const char *kinds = getenv("KINDS");
    for (int i = 0; kinds[i]; ++i) {
        if (kinds[i] == 'p') printf(" %lx", *(long *)arguments[i]);
        if (kinds[i] == 'i') printf(" %d", *(int *)arguments[i]);
        if (kinds[i] == 'f') printf(" %g", *(float *)arguments[i]);
    }
    return TELL(" ");
}

int cuGraphicsGLRegisterImage(Handle *resource, unsigned texture, unsigned target, unsigned flags) {
    *resource = (Handle)0x99;
    return TELL("register %u target %x flags %u context %lx", texture, target, flags, (long)context);
}

int cuGraphicsMapResources(unsigned n, Handle *resource, Handle stream) {
    return TELL("map %u %lx stream %lx", n, (long)*resource, (long)stream);
}

int cuGraphicsUnmapResources(unsigned n, Handle *resource, Handle stream) {
    return TELL("unmap %u %lx stream %lx", n, (long)*resource, (long)stream);
}

int cuGraphicsUnregisterResource(Handle resource) { return TELL("unregister %lx", (long)resource); }

int cuGraphicsSubResourceGetMappedArray(Handle *array, Handle resource, unsigned index, unsigned level) {
    *array = (Handle)0xa7;
    return TELL("array %lx %u %u", (long)resource, index, level);
}

struct Side {
    size_t x_bytes, y;
    int kind;
    const void *host;
    uint64_t device;
    Handle array;
    size_t pitch;
};
struct Copy {
    struct Side source, target;
    size_t width_bytes, height;
};

int cuMemcpy2DAsync_v2(const struct Copy *c, Handle stream) {
    return TELL("copy kind %d %lx pitch %zu to kind %d %lx size %zu %zu stream %lx", c->source.kind, (long)c->source.device,
                c->source.pitch, c->target.kind, (long)c->target.array, c->width_bytes, c->height, (long)stream);
}

int cuStreamDestroy_v2(Handle stream) { return TELL("destroyed stream %lx", (long)stream); }

int cuGetProcAddress_v2(const char *name, Handle *function, int version, uint64_t flags, int *status) {
    (void)version, (void)flags;
    char newer[128];
    snprintf(newer, sizeof newer, "%s_v2", name);
    Handle self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    *function = dlsym(self, newer);
    if (!*function) *function = dlsym(self, name);
    if (status) *status = !*function;
    return OK;
}

int cuGetProcAddress(const char *name, Handle *function, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, function, version, flags, NULL);
}
