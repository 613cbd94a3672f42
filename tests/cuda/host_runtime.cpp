// SPDX-License-Identifier: MIT
//
// Runs a kernel on the CPU: one fibre per thread of a block, blocks one after another, all in the calling thread.
//
// A fibre is entered through makecontext once and switched with the compiler's own setjmp afterwards, which costs no system
// call, and which address sanitizer does not take for the end of every frame on the stack. With a
// seed other than 0 blocks and threads run in a shuffled order. A launch ends with an error when the threads of a block
// wait for each other in a way that a GPU leaves undefined: at different barriers, or for a lane that never comes.
#include "host_runtime.h"

#include <cstdio>
#include <random>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

// There if address sanitizer is, which wants to be told of every switch of stacks, and what lies around an array.
extern "C" [[gnu::weak]] void __asan_poison_memory_region(const volatile void* memory, size_t bytes);
extern "C" [[gnu::weak]] void __sanitizer_start_switch_fiber(void** kept, const void* stack, size_t bytes);
extern "C" [[gnu::weak]] void __sanitizer_finish_switch_fiber(void* kept, const void** stack, size_t* bytes);

host::Index threadIdx, blockIdx, blockDim, gridDim;

namespace host {
namespace {

constexpr size_t STACK_BYTES = 128 * 1024;
constexpr size_t PAGE_BYTES = 65536;  // at least a page of any machine; below a stack, nothing may touch it
constexpr size_t AROUND = 256;  // bytes beside a shared array
constexpr size_t MAX_THREADS = 1024;
constexpr size_t MAX_SHARED_BYTES = 48 * 1024;  // what every GPU gives a block without being asked

enum State { READY, AT_BARRIER, AT_WARP, DONE };

using Jump = void* [5];

struct Fibre {
    Jump resume;
    void* address_stack = nullptr;
    ucontext_t entry;
    char* stack = nullptr;
    bool entered = false;
    State state = DONE;
    Site site{};
    Vote vote = NONE;
    int predicate = 0;
    int vote_result = 0;
    unsigned mask = 0;
    uint64_t value = 0;
    Lanes lanes{};
    int warp_epoch = 0;
};

struct Shared {
    const void* key;
    std::vector<char> memory;
    int block;  // the block whose values it holds
};

Fibre fibres[MAX_THREADS];
std::vector<Shared*> shared_arrays;
Jump scheduler;
void* scheduler_address_stack = nullptr;
const void* scheduler_stack = nullptr;
size_t scheduler_stack_bytes = 0;
ucontext_t unused;
int current = -1, threads = 0, epoch = 0, block_number = 0;
size_t shared_bytes = 0;
void (*kernel)(void**) = nullptr;
void** arguments = nullptr;
std::string failure;

[[noreturn, gnu::noinline]] void jump(Jump& where) { __builtin_longjmp(where, 1); }

[[noreturn]] void to_scheduler(void** address_stack) {
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(address_stack, scheduler_stack, scheduler_stack_bytes);
    jump(scheduler);
}

// To be called first on a stack that was switched to; `from` tells where the scheduler's is.
void arrived(void* address_stack, bool on_fibre) {
    if (!__sanitizer_finish_switch_fiber) return;
    if (on_fibre) {
        __sanitizer_finish_switch_fiber(address_stack, &scheduler_stack, &scheduler_stack_bytes);
    } else {
        __sanitizer_finish_switch_fiber(address_stack, nullptr, nullptr);
    }
}

[[gnu::noinline]] void leave() {
    Fibre& me = fibres[current];
    if (!__builtin_setjmp(me.resume)) to_scheduler(&me.address_stack);
    arrived(fibres[current].address_stack, true);
}

void fibre_main() {
    arrived(nullptr, true);
    for (;;) {
        kernel(arguments);
        fibres[current].state = DONE;
        leave();
    }
}

void make_fibre(Fibre& fibre) {
    if (!fibre.stack) {
        void* memory = mmap(nullptr, STACK_BYTES + PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) std::abort();
        fibre.stack = static_cast<char*>(memory) + PAGE_BYTES;
        mprotect(fibre.stack, STACK_BYTES, PROT_READ | PROT_WRITE);
    }
    getcontext(&fibre.entry);
    fibre.entry.uc_stack.ss_sp = fibre.stack;
    fibre.entry.uc_stack.ss_size = STACK_BYTES;
    fibre.entry.uc_link = nullptr;
    makecontext(&fibre.entry, fibre_main, 0);
    fibre.entered = true;
}

void run_fibre(int thread) {
    Fibre& fibre = fibres[thread];
    current = thread;
    const unsigned t = static_cast<unsigned>(thread);
    threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    place = {block_number, epoch, fibre.warp_epoch, thread, thread / 32};
    in_kernel = true;
    if (!__builtin_setjmp(scheduler)) {
        const bool entered = fibre.entered;
        if (!entered) make_fibre(fibre);
        if (__sanitizer_start_switch_fiber)
            __sanitizer_start_switch_fiber(&scheduler_address_stack, fibre.stack, STACK_BYTES);
        if (entered) jump(fibre.resume);
        swapcontext(&unused, &fibre.entry);
    }
    arrived(scheduler_address_stack, false);
    in_kernel = false;
}

bool same(Site a, Site b) { return a.line == b.line && a.file == b.file; }

std::string describe_wait(int thread) {
    char name[64], text[512];
    const Fibre& f = fibres[thread];
    const char* what = f.state == AT_BARRIER ? "__syncthreads" : "the other lanes of its warp";
    snprintf(text, sizeof text, "%s waits for %s at %s:%d", name_thread(thread, name, sizeof name), what, f.site.file,
             f.site.line);
    return text;
}

// Let the lanes that a waiting thread waits for go on together, if all of them are there. Lanes that have ended need not come.
bool join_lanes(int thread) {
    const Fibre& me = fibres[thread];
    const int first = thread & ~31, count = std::min(threads - first, 32);
    Lanes all{};
    for (int i = 0; i < count; ++i) {
        const Fibre& f = fibres[first + i];
        if (!(me.mask >> i & 1) || f.state == DONE) continue;
        if (f.state != AT_WARP || f.mask != me.mask || !same(f.site, me.site)) return false;
        all.mask |= 1u << i;
        all.values[i] = f.value;
    }
    for (int i = 0; i < count; ++i)
        if (all.mask >> i & 1) {
            fibres[first + i].lanes = all;
            fibres[first + i].state = READY;
        }
    return true;
}

// Ask again for all who wait for lanes: some of these may have ended since.
bool join_remaining_lanes() {
    bool joined = false;
    for (int i = 0; i < threads; ++i) joined |= fibres[i].state == AT_WARP && join_lanes(i);
    return joined;
}

// Nobody can go on: open the barrier if all who are left stand at the same one, else say who waits where.
void open_barrier() {
    int first = -1, answer_or = 0, answer_and = 1, count = 0;
    for (int i = 0; i < threads; ++i) {
        const Fibre& f = fibres[i];
        if (f.state == DONE) continue;
        if (first < 0) first = i;
        const Fibre& g = fibres[first];
        if (f.state != AT_BARRIER || g.state != AT_BARRIER || !same(f.site, g.site)) {
            failure = "the block diverged: " + describe_wait(first) + (i == first ? "" : ", " + describe_wait(i));
            return;
        }
        answer_or |= f.predicate != 0;
        answer_and &= f.predicate != 0;
        count += f.predicate != 0;
    }
    ++epoch;
    for (int i = 0; i < threads; ++i) {
        Fibre& f = fibres[i];
        if (f.state != AT_BARRIER) continue;
        f.vote_result = f.vote == OR ? answer_or : f.vote == AND ? answer_and : count;
        f.state = READY;
    }
}

void run_block(const std::vector<int>& order) {
    for (int i = 0; i < threads; ++i) {
        fibres[i].state = READY;
        fibres[i].warp_epoch = 0;
    }
    epoch = 0;
    shared_bytes = 0;
    forget_shared();
    for (bool alive = true; alive && failure.empty();) {
        bool moved = false;
        alive = false;
        for (int thread : order) {
            if (fibres[thread].state == READY) {
                run_fibre(thread);
                moved = true;
                if (!failure.empty()) return;
            }
            alive |= fibres[thread].state != DONE;
        }
        if (alive && !moved && !join_remaining_lanes()) open_barrier();
    }
}

std::vector<int> order_of(int count, std::mt19937_64* random) {
    std::vector<int> order(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) order[static_cast<size_t>(i)] = i;
    if (random) std::shuffle(order.begin(), order.end(), *random);
    return order;
}

}  // namespace

Place place;
bool in_kernel = false;

int lane() { return current % 32; }

bool on_own_stack(const void* address) {
    const char* stack = fibres[current].stack;
    return address >= stack && address < stack + STACK_BYTES;
}

const char* name_thread(int thread, char* out, size_t bytes) {
    const unsigned t = static_cast<unsigned>(thread);
    snprintf(out, bytes, "thread (%u, %u, %u)", t % blockDim.x, t / blockDim.x % blockDim.y,
             t / (blockDim.x * blockDim.y));
    return out;
}

void stop_launch(const char* text) {
    failure = text;
    in_kernel = false;
    to_scheduler(nullptr);  // the fibre is never resumed; host_launch enters all of them anew after an error
}

void refuse(Site site, const char* reason) {
    char text[512], name[64];
    snprintf(text, sizeof text, "%s at %s:%d, by %s", reason, site.file, site.line,
             name_thread(current, name, sizeof name));
    stop_launch(text);
}

int barrier(Site site, Vote vote, int predicate) {
    Fibre& me = fibres[current];
    me.site = site;
    me.vote = vote;
    me.predicate = predicate;
    me.state = AT_BARRIER;
    leave();
    return me.vote_result;
}

const Lanes& meet(Site site, unsigned mask, uint64_t value) {
    Fibre& me = fibres[current];
    if (!(mask >> lane() & 1)) refuse(site, "a lane is not in the mask that it gives");
    me.site = site;
    me.mask = mask;
    me.value = value;
    me.state = AT_WARP;
    if (!join_lanes(current)) leave();
    return me.lanes;  // the last to come goes on at once
}

void sync_warp(Site site, unsigned mask) {
    Fibre& me = fibres[current];
    meet(site, mask, 0);
    place.warp_epoch = ++me.warp_epoch;
}

void* shared_array(const void* key, const char* name, size_t item_bytes, size_t count) {
    Shared* array = nullptr;
    for (Shared* known : shared_arrays)
        if (known->key == key) array = known;
    if (!array) {
        array = new Shared{key, std::vector<char>(item_bytes * count + 2 * AROUND), -1};
        shared_arrays.push_back(array);
    }
    char* base = array->memory.data() + AROUND / 2;
    base += (16 - reinterpret_cast<uintptr_t>(base) % 16) % 16;
    char* end = base + item_bytes * count;
    if (__asan_poison_memory_region) {
        __asan_poison_memory_region(base - AROUND / 2, AROUND / 2);
        __asan_poison_memory_region(end, AROUND / 2);
    }
    if (array->block != block_number) {
        array->block = block_number;
        std::memset(base, 0xff, item_bytes * count);
        shared_bytes += item_bytes * count;
        if (shared_bytes > MAX_SHARED_BYTES) stop_launch("the block wants more than 48 KB of shared memory");
        add_region(base, item_bytes * count, item_bytes, name, true);
    }
    return base;
}

}  // namespace host

// Run a launch. Returns 0, or 1 with the reason in `message`.
extern "C" int host_launch(void (*call)(void**), void** args, const unsigned* grid, const unsigned* block,
                           unsigned long long seed, char* message, size_t message_bytes) {
    using namespace host;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    const size_t wanted = size_t{block[0]} * block[1] * block[2];
    failure.clear();
    if (wanted == 0 || wanted > MAX_THREADS) failure = "a block has 1 to 1024 threads";
    threads = static_cast<int>(wanted);
    kernel = call;
    arguments = args;
    std::mt19937_64 random(seed);
    const int blocks = static_cast<int>(grid[0] * grid[1] * grid[2]);
    const std::vector<int> threads_in_order = failure.empty() ? order_of(threads, seed ? &random : nullptr)
                                                              : std::vector<int>();
    for (Shared* array : shared_arrays) array->block = -1;
    for (int number : order_of(blocks, seed ? &random : nullptr)) {
        if (!failure.empty()) break;
        block_number = number;
        const unsigned b = static_cast<unsigned>(number);
        blockIdx = {b % grid[0], b / grid[0] % grid[1], b / (grid[0] * grid[1])};
        run_block(threads_in_order);
    }
    if (failure.empty()) return 0;
    for (Fibre& fibre : fibres) fibre.entered = false;
    std::snprintf(message, message_bytes, "%s, in block (%u, %u, %u)", failure.c_str(), blockIdx.x, blockIdx.y,
                  blockIdx.z);
    return 1;
}
