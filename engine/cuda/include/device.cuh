// SPDX-License-Identifier: MIT
//
// What every kernel file includes first: the few words that differ between the two worlds a kernel is compiled for.
// NVRTC makes it run on a GPU; the tests compile the same source with g++ and run it on the CPU, one fibre per thread,
// and have defined all of this before they come here (HOST_CUDA).
#pragma once

#ifndef HOST_CUDA

// An array shared by the threads of a block. Nobody may read an element before a thread has written it.
#define SHARED(type, name, count) __shared__ type name[count]

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;

#endif

#define WARP 32
#define ALL_LANES 0xffffffffu
