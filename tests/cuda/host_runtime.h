// SPDX-License-Identifier: MIT
//
// What the fibres (host_runtime.cpp) and the checks (host_checks.cpp) know of each other.
#pragma once

#include "host_cuda.h"

namespace host {

// Where the running thread stands: two accesses in the same block are ordered if a barrier lies between their epochs.
struct Place {
    int block = -1;
    int epoch = 0;       // barriers passed by the block
    int warp_epoch = 0;  // __syncwarp passed by the warp
    int thread = -1;
    int warp = -1;
};

extern Place place;        // of the running thread
extern bool in_kernel;     // a fibre is running
bool on_own_stack(const void* address);
[[noreturn]] void stop_launch(const char* text);  // called on a fibre: ends the launch, the text becomes the error
const char* name_thread(int thread, char* out, size_t bytes);

// Memory the kernel may touch: argument arrays, and shared arrays of the running block.
void add_region(const void* base, size_t bytes, size_t item_bytes, const char* name, bool shared);
void forget_shared();   // a new block begins
void forget_regions();  // a new launch begins

}  // namespace host
