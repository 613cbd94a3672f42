// SPDX-License-Identifier: MIT
//
// What is checked at every access to memory, in the checking build: bounds, races, use before writing, alignment.
//
// The kernel is compiled with -fsanitize=thread and -fsanitize=bounds,... but linked with neither library: the compiler
// then calls the functions at the end of this file with each address. An access must fall into an argument array, a shared
// array or the fibre's own stack; each of those has a gap around it. Address sanitizer, which has to be in the process before
// Python is, tells the arrays on a stack apart: test_address.py.
//
// Races: every item of memory remembers who wrote and who read it last, and at which barrier epoch. Two accesses by
// different threads, one of them a write and not both atomic, need a __syncthreads between them (or a __syncwarp, within
// a warp); between blocks nothing orders them.
#include "host_runtime.h"

#include <cstddef>
#include <cstdio>
#include <link.h>
#include <vector>

namespace host {
namespace {

enum Kind { READ, WRITE, ATOMIC };

struct Mark {
    Place at;
    Kind kind = READ;
    bool set = false;
    const void* code = nullptr;
};
struct Cell {
    Mark write, read;
};
struct Region {
    const char* base;
    size_t bytes, item_bytes;
    const char* name;
    bool shared;
    std::vector<Cell> cells;
};

constexpr int SEVERAL = -2;
std::vector<Region> regions;
const char* module_begin = nullptr;  // of the library we are in: constant tables, threadIdx
const char* module_end = nullptr;

int find_module(dl_phdr_info* info, size_t, void* inside) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& part = info->dlpi_phdr[i];
        const char* begin = reinterpret_cast<const char*>(info->dlpi_addr + part.p_vaddr);
        if (part.p_type != PT_LOAD || inside < begin || inside >= begin + part.p_memsz) continue;
        module_begin = reinterpret_cast<const char*>(info->dlpi_addr);
        for (int j = 0; j < info->dlpi_phnum; ++j)
            if (info->dlpi_phdr[j].p_type == PT_LOAD)
                module_end = module_begin + info->dlpi_phdr[j].p_vaddr + info->dlpi_phdr[j].p_memsz;
        return 1;
    }
    return 0;
}

// Addresses of code are written as {+0x1234}: host.py puts file and line there.
unsigned long offset(const void* code) {
    return static_cast<unsigned long>(static_cast<const char*>(code) - module_begin) - 1;
}

bool ordered(const Mark& before, const Place& now) {
    if (!before.set) return true;
    if (before.at.block != now.block) return false;
    if (before.at.epoch < now.epoch) return true;
    if (before.at.thread == now.thread) return true;
    return before.at.warp == now.warp && before.at.warp_epoch < now.warp_epoch;
}

void remember(Mark& mark, const Place& now, Kind kind, const void* code) {
    Mark next{now, kind, true, code};
    if (!ordered(mark, now)) {  // both read, or both atomic: from now on several did
        if (mark.at.block != now.block) next.at.block = SEVERAL;
        if (mark.at.warp != now.warp) next.at.warp = SEVERAL;
        next.at.thread = SEVERAL;
    }
    mark = next;
}

const char* verb(Kind kind) { return kind == READ ? "read" : kind == WRITE ? "written" : "changed atomically"; }

[[noreturn]] void race(const Region& region, size_t item, const Mark& before, Kind kind, const void* code) {
    char text[768], here[64], there[64] = "several threads";
    if (before.at.thread >= 0) name_thread(before.at.thread, there, sizeof there);
    snprintf(text, sizeof text, "race on %s[%zu]: %s by %s of %s block at {+0x%lx}, then %s by %s at {+0x%lx}, and no %s",
             region.name, item, verb(before.kind), there, before.at.block == place.block ? "the same" : "another",
             offset(before.code), verb(kind), name_thread(place.thread, here, sizeof here), offset(code),
             before.at.block == place.block ? "barrier between" : "order between blocks");
    stop_launch(text);
}

void check_item(Region& region, size_t item, Kind kind, const void* code) {
    Cell& cell = region.cells[item];
    if (kind != WRITE && region.shared && !cell.write.set) {
        char text[256];
        snprintf(text, sizeof text, "shared %s[%zu] is read at {+0x%lx} before anybody wrote it", region.name, item,
                 offset(code));
        stop_launch(text);
    }
    const bool both_atomic = kind == ATOMIC && cell.write.kind == ATOMIC;
    if (!both_atomic && !ordered(cell.write, place)) race(region, item, cell.write, kind, code);
    if (kind == READ) {
        remember(cell.read, place, kind, code);
        return;
    }
    if (!ordered(cell.read, place)) race(region, item, cell.read, kind, code);
    remember(cell.write, place, kind, code);
}

[[noreturn]] void outside(const char* address, size_t bytes, Kind kind, const void* code) {
    char text[512], near_by[192] = "no array of this launch";
    size_t nearest = 1 << 16;
    for (const Region& r : regions) {
        const bool below = address < r.base;
        const size_t gap = static_cast<size_t>(below ? r.base - address : address - (r.base + r.bytes));
        if (gap >= nearest) continue;
        nearest = gap;
        const auto size = static_cast<std::ptrdiff_t>(r.item_bytes);
        const std::ptrdiff_t item = (address - r.base - (below ? size - 1 : 0)) / size;
        snprintf(near_by, sizeof near_by, "no array; the nearest is %s with %zu items, this would be item %td", r.name,
                 r.bytes / r.item_bytes, item);
    }
    char name[64];
    snprintf(text, sizeof text, "out of bounds: %zu bytes are %s at {+0x%lx} by %s in %s", bytes, verb(kind),
             offset(code), name_thread(place.thread, name, sizeof name), near_by);
    stop_launch(text);
}

void access(const void* where, size_t bytes, Kind kind, const void* code) {
    if (!in_kernel || on_own_stack(where)) return;
    const char* address = static_cast<const char*>(where);
    if (kind == READ && address >= module_begin && address < module_end) return;
    for (Region& region : regions) {
        if (address < region.base || address + bytes > region.base + region.bytes) continue;
        const size_t start = static_cast<size_t>(address - region.base);
        const size_t last = (start + bytes - 1) / region.item_bytes;
        for (size_t item = start / region.item_bytes; item <= last; ++item) check_item(region, item, kind, code);
        return;
    }
    outside(address, bytes, kind, code);
}

}  // namespace

void note_atomic(const void* address, size_t bytes, const void* code) { access(address, bytes, ATOMIC, code); }

void add_region(const void* base, size_t bytes, size_t item_bytes, const char* name, bool shared) {
    regions.push_back({static_cast<const char*>(base), bytes, item_bytes, name, shared, {}});
    regions.back().cells.resize((bytes + item_bytes - 1) / item_bytes);
}

void forget_shared() {
    while (!regions.empty() && regions.back().shared) regions.pop_back();
}

void forget_regions() {
    regions.clear();
    if (!module_begin) dl_iterate_phdr(find_module, reinterpret_cast<void*>(&forget_regions));
}

namespace {
[[noreturn]] void undefined(const void* data, const char* what) {
    struct Source {  // what every description by the compiler begins with
        const char* file;
        unsigned line, column;
    };
    const Source* source = static_cast<const Source*>(data);
    refuse(Site{source->file, static_cast<int>(source->line)}, what);
}
}  // namespace
}  // namespace host

extern "C" {
void host_forget_regions() { host::forget_regions(); }
void host_add_region(const void* base, size_t bytes, size_t item_bytes, const char* name) {
    host::add_region(base, bytes, item_bytes, name, false);
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
#define HOST_HOOK(bytes)                                                                                       \
    void __tsan_read##bytes(void* p) { host::access(p, bytes, host::READ, __builtin_return_address(0)); }      \
    void __tsan_write##bytes(void* p) { host::access(p, bytes, host::WRITE, __builtin_return_address(0)); }
HOST_HOOK(1) HOST_HOOK(2) HOST_HOOK(4) HOST_HOOK(8) HOST_HOOK(16)
#define HOST_UNALIGNED(bytes)                                                                                      \
    void __tsan_unaligned_read##bytes(void* p) { host::access(p, bytes, host::READ, __builtin_return_address(0)); } \
    void __tsan_unaligned_write##bytes(void* p) { host::access(p, bytes, host::WRITE, __builtin_return_address(0)); }
HOST_UNALIGNED(2) HOST_UNALIGNED(4) HOST_UNALIGNED(8) HOST_UNALIGNED(16)
void __tsan_read_range(void* p, size_t n) { host::access(p, n, host::READ, __builtin_return_address(0)); }
void __tsan_write_range(void* p, size_t n) { host::access(p, n, host::WRITE, __builtin_return_address(0)); }

#define HOST_UNDEFINED(name, text, ...) \
    void __ubsan_handle_##name(void* data, ##__VA_ARGS__) { host::undefined(data, text); }
HOST_UNDEFINED(out_of_bounds, "an index is outside its array", void*)
HOST_UNDEFINED(shift_out_of_bounds, "a shift is by more bits than there are", void*, void*)
HOST_UNDEFINED(divrem_overflow, "an integer is divided by zero", void*, void*)
HOST_UNDEFINED(float_cast_overflow, "a number does not fit the integer it is turned into", void*)
HOST_UNDEFINED(add_overflow, "an integer sum overflows", void*, void*)
HOST_UNDEFINED(sub_overflow, "an integer difference overflows", void*, void*)
HOST_UNDEFINED(mul_overflow, "an integer product overflows", void*, void*)
HOST_UNDEFINED(negate_overflow, "an integer cannot be negated", void*)
HOST_UNDEFINED(type_mismatch_v1, "a pointer is null or not aligned for what it points to", void*)
}
