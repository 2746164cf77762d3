// Linear layers over tiled matrices: see tiled_linear.cuh.

#include <algorithm>

#include "activation_pair.cuh"
#include "tile_stream.cuh"
#include "tiled_linear.cuh"

namespace ernie {
namespace {

// Eight warps a block: of the narrowest matrix at 28B size, 2560 rows, an H200 then has 1280 warps at work.
constexpr int kWarps = 8;
constexpr int kThreads = 256;

// What rows `row`, which is even, and row + 1 become.
__device__ inline float2 rotated(const Rotation& r, int token, int row, float2 y) {
    if (!r.cosines || row >= r.rows) return y;
    const size_t angle = size_t(token) * (r.headDim / 2) + row % r.headDim / 2;
    const float cosine = r.cosines[angle], sine = r.sines[angle];
    return {y.x * cosine - y.y * sine, y.x * sine + y.y * cosine};
}

// One block per kTiles tiles of rows × 8·kTokenTiles tokens. Bound by weight bytes. The warps split the columns; sums meet in shared memory in fixed
// order, the same for any number of tokens.
template <typename T, int kBits, int kTokenTiles, int kTiles, RowUse kUse>
__global__ void __launch_bounds__(kWarps* kWarpSize) fewTokensKernel(TiledLinear a) {
    using Stream = TileStream<kBits, kTiles, kWarps>;
    __shared__ uint4 rings[kWarps][Stream::kRingBytes / sizeof(uint4)];
    const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
    const int tiles = a.weight.rows / kTileRows, blocks = a.weight.columns / kBlockColumns;
    const int firstToken = blockIdx.x * 8 * kTokenTiles, firstTile = blockIdx.y * kTiles;
    const size_t position = size_t(firstTile) * blocks;
    // Beyond the last tile of an odd number: the last once more, which nobody stores.
    const int tileStride = firstTile + 1 < tiles ? blocks : 0;
    Stream stream(rings[warp], a.weight.codes + position * 64 * kBits, a.weight.scales + position * kTileRows, tileStride, 0, blocks, warp, lane);

    const T* x[kTokenTiles];  // columns 8i… of this lane's token in every tile of 8
    for (int j = 0; j < kTokenTiles; j++) {
        const int token = firstToken + 8 * j + lane / 4;
        x[j] = static_cast<const T*>(a.x) + size_t(token < a.tokens ? token : firstToken) * a.weight.columns + 8 * (lane % 4);
    }
    float sum[kTiles][kTokenTiles][4] = {};
    multiplyStream(sum, stream, x, a.tokens - firstToken);

    // Each warp's sums take the place of its ring, which is empty.
    static_assert(sizeof sum * kWarpSize <= Stream::kRingBytes, "fits");
    const auto sumsOf = [&](int from) { return reinterpret_cast<float(*)[4 * kTokenTiles][kWarpSize]>(rings[from]); };
    for (int tile = 0; tile < kTiles; tile++)
        for (int j = 0; j < kTokenTiles; j++)
            for (int r = 0; r < 4; r++) sumsOf(warp)[tile][4 * j + r][lane] = sum[tile][j][r];
    __syncthreads();
    // Thread → lane `source`, token tile j and column r of the fragment; its two rows are values r and r + 2.
    for (int task = threadIdx.x; task < kTokenTiles * 2 * kWarpSize; task += kWarps * kWarpSize) {
        const int source = task % kWarpSize, j = task / kWarpSize / 2, r = task / kWarpSize % 2;
        const int token = firstToken + 8 * j + fragmentToken(source, r), row = fragmentRow(source, r);
        if (token >= a.tokens) continue;
        float2 total[kTiles] = {};
        for (int part = 0; part < kWarps; part++)
            for (int tile = 0; tile < kTiles; tile++) {
                total[tile].x += sumsOf(part)[tile][4 * j + r][source];
                total[tile].y += sumsOf(part)[tile][4 * j + r + 2][source];
            }
        if constexpr (kUse == RowUse::kGate) {
            T* out = static_cast<T*>(a.y) + size_t(token) * (a.weight.rows / 2) + firstTile / 2 * kTileRows + row;
            *reinterpret_cast<uint32_t*>(out) =
                Pair16<T>::fromFloat2(clampTo(swiglu(total[0].x, total[1].x), T()), clampTo(swiglu(total[0].y, total[1].y), T()));
        } else {
            for (int tile = 0; tile < kTiles && firstTile + tile < tiles; tile++) {
                const size_t at = size_t(token) * a.weight.rows + (firstTile + tile) * kTileRows + row;
                uint32_t* y = reinterpret_cast<uint32_t*>(static_cast<T*>(a.y) + at);
                const float2 before = a.adds ? Pair16<T>::toFloat2(*y) : float2{0, 0};
                const float2 result = rotated(a.rotation, token, (firstTile + tile) * kTileRows + row, total[tile]);
                *y = Pair16<T>::fromFloat2(before.x + result.x, before.y + result.y);
            }
        }
    }
}

template <typename T, int kBits, int kTokenTiles, int kTiles, RowUse kUse>
void launchFewTokens(const TiledLinear& a, cudaStream_t stream) {
    // Groups of the same rows run side by side: the second finds the weights in the cache.
    const dim3 grid(divideUp(a.tokens, 8 * kTokenTiles), divideUp(a.weight.rows / kTileRows, kTiles));
    launch(fewTokensKernel<T, kBits, kTokenTiles, kTiles, kUse>, grid, kWarps * kWarpSize, 0, stream, a);
}

template <typename T, int kBits, RowUse kUse>
void launchFewTokens(const TiledLinear& a, cudaStream_t stream) {
    // One tile a block spreads the weights over more multiprocessors, two halve what is read of many activations.
    if (a.tokens <= 8) return launchFewTokens<T, kBits, 1, kUse == RowUse::kGate ? 2 : 1, kUse>(a, stream);
    if (a.tokens <= 16) return launchFewTokens<T, kBits, 2, 2, kUse>(a, stream);
    launchFewTokens<T, kBits, 4, 2, kUse>(a, stream);
}

template <typename T>
void launchFewTokens(const TiledLinear& a, RowUse use, cudaStream_t stream) {
    const bool isGate = use == RowUse::kGate;
    if (a.weight.bits == 4) return isGate ? launchFewTokens<T, 4, RowUse::kGate>(a, stream) : launchFewTokens<T, 4, RowUse::kStore>(a, stream);
    isGate ? launchFewTokens<T, 8, RowUse::kGate>(a, stream) : launchFewTokens<T, 8, RowUse::kStore>(a, stream);
}

// weight [rows, columns] as T; a thread per 8 columns of a row. Bound by memory.
template <typename Pair>
__global__ void __launch_bounds__(kThreads) unpackKernel(TiledMatrix m, Pair* weight) {
    const size_t chunk = size_t(blockIdx.x) * kThreads + threadIdx.x, block = chunk / 64;
    if (block >= size_t(m.rows / kTileRows) * (m.columns / kBlockColumns)) return;
    const int row = chunk / 4 % kTileRows, i = chunk % 4, middle = m.bits == 4 ? 8 : 128;
    const uint8_t* codes = m.codes + block * 64 * m.bits;
    const auto word = [&](int piece) { return *reinterpret_cast<const uint32_t*>(codes + 64 * piece + 4 * row); };
    // Columns 8i…8i+3 and 8i+4…8i+7, a byte each; with 4 bits they share bytes.
    const uint32_t low = m.bits == 4 ? word(i) & 0x0f0f0f0f : word(2 * i);
    const uint32_t high = m.bits == 4 ? word(i) >> 4 & 0x0f0f0f0f : word(2 * i + 1);
    const float scale = __half2float(bitCast<half>(m.scales[block * kTileRows + row]));
    const size_t blocks = m.columns / kBlockColumns, tile = block / blocks;
    Pair* out = weight + ((tile * kTileRows + row) * m.columns + block % blocks * kBlockColumns + 8 * i) / 2;
#pragma unroll
    for (int pair = 0; pair < 4; pair++) {
        const uint32_t bytes = (pair < 2 ? low : high) >> 16 * (pair % 2);
        storePair(out + pair, scale * (int(bytes & 0xff) - middle), scale * (int(bytes >> 8 & 0xff) - middle));
    }
}

template <typename Pair>
__device__ inline void storeClamped(Pair* to, float first, float second) { storePair(to, first, second); }
__device__ inline void storeClamped(half2* to, float first, float second) { storePair(to, clampTo(first, half()), clampTo(second, half())); }

// y [tokens, yStride], columns 0…rows/2−1: silu(gate) · up of product [tokens, rows], whose tiles of gate and up alternate.
template <typename Pair>
__global__ void __launch_bounds__(kThreads) gateKernel(const float2* product, int tokens, int rows, Pair* y, int yStride) {
    const size_t index = size_t(blockIdx.x) * kThreads + threadIdx.x;
    const int width = rows / 2, column = index % (width / 2) * 2;
    const size_t token = index / (width / 2);
    if (token >= size_t(tokens)) return;
    const size_t gateAt = (token * rows + column / kTileRows * 2 * kTileRows + column % kTileRows) / 2;
    const float2 gate = product[gateAt], up = product[gateAt + kTileRows / 2];
    storeClamped(y + (token * yStride + column) / 2, swiglu(gate.x, up.x), swiglu(gate.y, up.y));
}

// The rotation of y [tokens, rows], where it lies.
template <typename Pair>
__global__ void __launch_bounds__(kThreads) rotateKernel(Rotation r, int rows, Pair* y) {
    const int pair = blockIdx.y * kThreads + threadIdx.x, token = blockIdx.x;
    if (2 * pair >= r.rows) return;
    Pair* at = y + size_t(token) * (rows / 2) + pair;
    const float2 values = rotated(r, token, 2 * pair, toFloats(*at));
    storePair(at, values.x, values.y);
}

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }
bool hasFewTokens(const TiledLinear& a) { return a.tokens <= kMaxFewTokens && a.type != ActivationType::kFloat32; }

// Rows that are unpacked at a time: pairs of tiles.
int pieceRows(const TiledLinear& a) {
    const size_t pairBytes = 2 * kTileRows * a.weight.columns * elementBytes(a.type);
    return std::min(a.weight.rows, int(std::max(a.unpackedBytes / pairBytes, size_t(1))) * 2 * kTileRows);
}

size_t pieceBytes(const TiledLinear& a) { return aligned(size_t(pieceRows(a)) * a.weight.columns * elementBytes(a.type)); }

// Rows first…first + rows − 1.
TiledMatrix rowsOf(const TiledMatrix& m, int first, int rows) {
    TiledMatrix part = m;
    const size_t block = size_t(first / kTileRows) * (m.columns / kBlockColumns);
    part.codes += block * 64 * m.bits;
    part.scales += block * kTileRows;
    part.rows = rows;
    return part;
}

void launchDense(const TiledLinear& a, RowUse use, char* workspace, const QueueProduct& queueProduct, cudaStream_t stream) {
    float* product = reinterpret_cast<float*>(workspace + pieceBytes(a));
    const bool isGate = use == RowUse::kGate;
    for (int first = 0; first < a.weight.rows; first += pieceRows(a)) {
        const int rows = std::min(pieceRows(a), a.weight.rows - first), width = rows / 2;
        char* y = static_cast<char*>(a.y) + (isGate ? first / 2 : first) * elementBytes(a.type);
        withPairType(a.type, [&](auto pair) {
            using Pair = decltype(pair);
            const dim3 grid((size_t(rows) * a.weight.columns / 8 + kThreads - 1) / kThreads);
            launch(unpackKernel<Pair>, grid, kThreads, 0, stream, rowsOf(a.weight, first, rows), reinterpret_cast<Pair*>(workspace));
            if (!isGate) {
                queueProduct({y, a.x, workspace, a.type, a.type, a.tokens, rows, a.weight.columns, a.weight.rows, a.adds});
                return;
            }
            queueProduct({product, a.x, workspace, a.type, ActivationType::kFloat32, a.tokens, rows, a.weight.columns, rows, false});
            const dim3 pairs((size_t(a.tokens) * width / 2 + kThreads - 1) / kThreads);
            launch(gateKernel<Pair>, pairs, kThreads, 0, stream, reinterpret_cast<const float2*>(product), a.tokens, rows, reinterpret_cast<Pair*>(y), a.weight.rows / 2);
        });
    }
    if (!a.rotation.cosines) return;
    withPairType(a.type, [&](auto pair) {
        using Pair = decltype(pair);
        launch(rotateKernel<Pair>, dim3(a.tokens, divideUp(a.rotation.rows / 2, kThreads)), kThreads, 0, stream, a.rotation, a.weight.rows, static_cast<Pair*>(a.y));
    });
}

}  // namespace

size_t tiledLinearWorkspaceBytes(const TiledLinear& a, RowUse use) {
    if (hasFewTokens(a)) return 0;
    return pieceBytes(a) + (use == RowUse::kGate ? aligned(size_t(a.tokens) * pieceRows(a) * sizeof(float)) : 0);
}

void launchTiledLinear(const TiledLinear& a, RowUse use, void* workspace, const QueueProduct& queueProduct, cudaStream_t stream) {
    if (!hasFewTokens(a)) return launchDense(a, use, static_cast<char*>(workspace), queueProduct, stream);
    a.type == ActivationType::kFloat16 ? launchFewTokens<half>(a, use, stream) : launchFewTokens<__nv_bfloat16>(a, use, stream);
}

}  // namespace ernie
