// SPDX-License-Identifier: MIT
//
// One small kernel for each word of the vocabulary; test_host.py knows what each of them must compute.
#include "device.cuh"
#include "constants.cuh"

extern "C" __global__ void whoami(int* out) {  // [blocks, threads, 6]
    const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    int* mine = out + (block * (int)(blockDim.x * blockDim.y * blockDim.z) + thread) * 6;
    mine[0] = blockIdx.x, mine[1] = blockIdx.y, mine[2] = blockIdx.z;
    mine[3] = threadIdx.x, mine[4] = threadIdx.y, mine[5] = threadIdx.z;
}

extern "C" __global__ void block_sum(const float* in, float* out, int n) {  // in [n], out [blocks]
    SHARED(float, part, 256);
    const int t = threadIdx.x, i = blockIdx.x * 256 + t;
    part[t] = i < n ? in[i] : 0.0f;
    __syncthreads();
    for (int half = 128; half > 0; half >>= 1) {
        if (t < half) part[t] += part[t + half];
        __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = part[0];
}

extern "C" __global__ void warp_sums(const float* in, float* down, float* butterfly, float* prefix) {  // all [threads]
    const int t = threadIdx.x;
    float a = in[t], b = in[t], c = in[t];
    for (int step = 16; step > 0; step >>= 1) {
        a += __shfl_down_sync(ALL_LANES, a, step);
        b += __shfl_xor_sync(ALL_LANES, b, step);
    }
    for (int step = 1; step < 32; step <<= 1) {
        const float below = __shfl_up_sync(ALL_LANES, c, step);
        if (t % WARP >= step) c += below;
    }
    down[t] = __shfl_sync(ALL_LANES, a, 0), butterfly[t] = b, prefix[t] = c;
}

extern "C" __global__ void votes(const int* in, int* out) {  // in [threads], out [threads, 7]
    const int t = threadIdx.x, yes = in[t];
    int* mine = out + t * 7;
    mine[0] = (int)__ballot_sync(ALL_LANES, yes);
    mine[1] = __any_sync(ALL_LANES, yes), mine[2] = __all_sync(ALL_LANES, yes);
    mine[3] = __popc(__ballot_sync(ALL_LANES, yes));
    mine[4] = __syncthreads_or(yes), mine[5] = __syncthreads_and(yes), mine[6] = __syncthreads_count(yes);
}

extern "C" __global__ void count_all(const int* in, float* sum, int* largest, unsigned* bits, unsigned long long* many,
                                     int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    atomicAdd(sum, 0.5f);
    atomicMax(largest, in[i]);
    atomicOr(bits, 1u << (in[i] & 31));
    atomicAdd(many, 1ull << 33);
}

extern "C" __global__ void reversed_in_warp(const int* in, int* out) {  // shared memory ordered by __syncwarp alone
    SHARED(int, box, 64);
    const int t = threadIdx.x;
    box[t] = in[t];
    __syncwarp();
    out[t] = box[t ^ 31];
}

extern "C" __global__ void half_leaves(const int* in, int* out) {  // [64]: the odd lanes end, the even ones go on
    const int t = threadIdx.x;
    if (t & 1) return;
    out[t] = __shfl_sync(ALL_LANES, in[t], 0);
    __syncthreads();
    out[t + 1] = -1;
}

extern "C" __global__ void scalars(float* out, int64_t a, int b, float c, const uint8_t* bytes) {
    out[0] = (float)(a >> 32), out[1] = (float)b, out[2] = c, out[3] = (float)bytes[b];
    out[4] = __int_as_float(__float_as_int(c)), out[5] = (float)__clz(1), out[6] = (float)__ffs(8);
    out[7] = rsqrtf(4.0f), out[8] = fmaf(2.0f, 3.0f, 1.0f), out[9] = DENSITY_SCALE, out[10] = SH_C2[b];
}

extern "C" __global__ void copy_vectors(const float4* in, float4* out, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = make_float4(in[i].w, in[i].z, in[i].y, in[i].x);
}
