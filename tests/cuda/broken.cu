// SPDX-License-Identifier: MIT
//
// Kernels that are wrong in one way each; test_host.py holds that each of them is caught, at its line.
#include "device.cuh"

extern "C" __global__ void no_barrier(const float* in, float* out) {  // a neighbour's word, not yet surely written
    SHARED(float, box, 64);
    const int t = threadIdx.x;
    box[t] = in[t];
    out[t] = box[63 - t];
}

extern "C" __global__ void overwrites(const float* in, float* out) {  // the loop's next round writes what others still read
    SHARED(float, box, 64);
    const int t = threadIdx.x;
    float sum = 0.0f;
    for (int round = 0; round < 2; ++round) {
        box[t] = in[t] + round;
        __syncthreads();
        sum += box[63 - t];
    }
    out[t] = sum;
}

extern "C" __global__ void takes_away_what_was_read(float* out) {  // a write after another thread's read
    SHARED(float, box, 65);
    const int t = threadIdx.x;
    box[t + 1] = 1.0f;
    __syncthreads();
    out[t] = box[t + 1];
    box[t] = 2.0f;
}

extern "C" __global__ void races_between_blocks(float* out) { out[0] = (float)blockIdx.x; }

extern "C" __global__ void reads_while_added(float* sum, float* out) {
    atomicAdd(sum, 1.0f);
    out[threadIdx.x] = sum[0];
}

extern "C" __global__ void never_written(float* out) {
    SHARED(float, box, 64);
    if (threadIdx.x > 0) box[threadIdx.x] = 1.0f;
    __syncthreads();
    out[threadIdx.x] = box[threadIdx.x];
}

extern "C" __global__ void reads_past_the_end(const float* in, float* out, int n) {
    const int i = threadIdx.x;
    if (i < n) out[i] = in[i + 1];
}

extern "C" __global__ void writes_before_the_start(float* out) { out[(int)threadIdx.x - 1] = 1.0f; }

extern "C" __global__ void past_a_shared_array(float* out, int by) {
    SHARED(float, box, 64);
    box[threadIdx.x] = 1.0f;
    __syncthreads();
    out[threadIdx.x] = box[threadIdx.x + by];
}

extern "C" __global__ void past_a_local_array(float* out, int at) {
    float local[4] = {out[0], out[1], out[2], out[3]};
    out[threadIdx.x] = local[at];
}

__device__ void put(float* values, int at) { values[at] = 1.0f; }

extern "C" __global__ void past_a_local_array_by_pointer(float* out, int at) {
    float local[8] = {};
    local[threadIdx.x % 8] = __shfl_xor_sync(0xffffffffu, 2.0f, 1);  // frames are known from before a switch of fibres, too
    put(local, at);
    out[threadIdx.x] = local[0] + local[7];
}

extern "C" __global__ void past_the_end(float* out, int by) { out[threadIdx.x + by] = 1.0f; }

extern "C" __global__ void barrier_in_a_branch(float* out) {
    if (threadIdx.x < 32) __syncthreads();
    out[threadIdx.x] = 1.0f;
    __syncthreads();
}

extern "C" __global__ void shuffle_in_a_branch(float* out) {
    float x = (float)threadIdx.x;
    if (threadIdx.x % 32 < 16) x = __shfl_xor_sync(ALL_LANES, x, 1);
    __syncthreads();
    out[threadIdx.x] = x;
}

extern "C" __global__ void asks_a_lane_that_left(float* out) {
    if (threadIdx.x == 3) return;
    out[threadIdx.x] = __shfl_sync(ALL_LANES, (float)threadIdx.x, 3);
}

extern "C" __global__ void misaligned(const float* in, float4* out) {
    out[threadIdx.x] = *(const float4*)(in + 1 + 4 * threadIdx.x);
}

extern "C" __global__ void casts_infinity(const float* in, int* out) { out[threadIdx.x] = (int)(1.0f / in[threadIdx.x]); }

extern "C" __global__ void too_much_shared(float* out) {
    SHARED(float, box, 12289);
    box[threadIdx.x] = 1.0f;
    out[threadIdx.x] = box[threadIdx.x];
}
