// The programs of loops.py by hand: primal and gradient, as a C++ programmer would write them for speed.
// Compiled by loops.py with g++ -O3 -march=native.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

using std::vector;

extern "C" {

// x' = a x - b x^2 + c, explicit Euler.
double euler(double x, double a, double b, double c, int64_t steps, double dt) {
    for (int64_t i = 0; i < steps; i++) x += dt * (a * x - b * x * x + c);
    return x;
}

double euler_gradient(double x, double a, double b, double c, int64_t steps, double dt, double* g) {
    vector<double> tape(steps);
    for (int64_t i = 0; i < steps; i++) {
        tape[i] = x;
        x += dt * (a * x - b * x * x + c);
    }
    double bar = 1, ga = 0, gb = 0, gc = 0;
    for (int64_t i = steps; i-- > 0;) {
        double y = tape[i], d = dt * bar;
        ga += d * y;
        gb -= d * y * y;
        gc += d;
        bar += d * (a - 2 * b * y);
    }
    g[0] = ga, g[1] = gb, g[2] = gc;
    return x;
}

// A ring of ten oscillators, classical Runge-Kutta.
constexpr int RING = 10;

static void field(const double* y, const double* k, double* out) {
    for (int i = 0; i < RING; i++) out[i] = k[i] * y[(i + 1) % RING] - 0.1 * y[i] * y[i];
}

static void field_adjoint(const double* y, const double* k, const double* out_bar, double* y_bar, double* k_bar) {
    for (int i = 0; i < RING; i++) {
        k_bar[i] += out_bar[i] * y[(i + 1) % RING];
        y_bar[(i + 1) % RING] += out_bar[i] * k[i];
        y_bar[i] -= 0.2 * y[i] * out_bar[i];
    }
}

double rk4_gradient(const double* y0, const double* k, int64_t steps, double dt, double* g) {
    vector<double> tape(steps * RING);
    double y[RING], k1[RING], k2[RING], k3[RING], k4[RING], t[RING];
    std::memcpy(y, y0, sizeof y);
    for (int64_t n = 0; n < steps; n++) {
        std::memcpy(&tape[n * RING], y, sizeof y);
        field(y, k, k1);
        for (int i = 0; i < RING; i++) t[i] = y[i] + 0.5 * dt * k1[i];
        field(t, k, k2);
        for (int i = 0; i < RING; i++) t[i] = y[i] + 0.5 * dt * k2[i];
        field(t, k, k3);
        for (int i = 0; i < RING; i++) t[i] = y[i] + dt * k3[i];
        field(t, k, k4);
        for (int i = 0; i < RING; i++) y[i] += dt / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
    }
    double value = 0, bar[RING];
    for (int i = 0; i < RING; i++) value += y[i] * y[i], bar[i] = 2 * y[i];
    std::memset(g, 0, sizeof(double) * RING);
    for (int64_t n = steps; n-- > 0;) {
        const double* s = &tape[n * RING];
        double t2[RING], t3[RING], t4[RING];
        field(s, k, k1);
        for (int i = 0; i < RING; i++) t2[i] = s[i] + 0.5 * dt * k1[i];
        field(t2, k, k2);
        for (int i = 0; i < RING; i++) t3[i] = s[i] + 0.5 * dt * k2[i];
        field(t3, k, k3);
        for (int i = 0; i < RING; i++) t4[i] = s[i] + dt * k3[i];
        double b1[RING], b2[RING], b3[RING], b4[RING], tb[RING];
        for (int i = 0; i < RING; i++) b4[i] = dt / 6 * bar[i], b1[i] = b4[i], b2[i] = b3[i] = 2 * b4[i];
        std::memset(tb, 0, sizeof tb);
        field_adjoint(t4, k, b4, tb, g);
        for (int i = 0; i < RING; i++) bar[i] += tb[i], b3[i] += dt * tb[i];
        std::memset(tb, 0, sizeof tb);
        field_adjoint(t3, k, b3, tb, g);
        for (int i = 0; i < RING; i++) bar[i] += tb[i], b2[i] += 0.5 * dt * tb[i];
        std::memset(tb, 0, sizeof tb);
        field_adjoint(t2, k, b2, tb, g);
        for (int i = 0; i < RING; i++) bar[i] += tb[i], b1[i] += 0.5 * dt * tb[i];
        field_adjoint(s, k, b1, bar, g);
    }
    return value;
}

// An LSTM whose recurrent matrices are diagonal: w, u, b are [4][h], inputs [steps][h].
double lstm_gradient(const double* w, const double* u, const double* b, const double* xs, int64_t steps, int64_t h, double* gw) {
    vector<double> gates(steps * 4 * h), cells((steps + 1) * h), hidden((steps + 1) * h);
    double value = 0;
    for (int64_t t = 0; t < steps; t++)
        for (int64_t j = 0; j < h; j++) {
            double x = xs[t * h + j], s = hidden[t * h + j], z[4];
            for (int q = 0; q < 4; q++) z[q] = w[q * h + j] * x + u[q * h + j] * s + b[q * h + j];
            double i = 1 / (1 + std::exp(-z[0])), f = 1 / (1 + std::exp(-z[1])), o = 1 / (1 + std::exp(-z[2]));
            double c = std::tanh(z[3]);
            double* g = &gates[(t * h + j) * 4];
            g[0] = i, g[1] = f, g[2] = o, g[3] = c;
            double cell = f * cells[t * h + j] + i * c;
            cells[(t + 1) * h + j] = cell;
            hidden[(t + 1) * h + j] = o * std::tanh(cell);
        }
    for (int64_t j = 0; j < h; j++) value += hidden[steps * h + j] * hidden[steps * h + j];
    std::memset(gw, 0, sizeof(double) * 4 * h);
    vector<double> hb(h), cb(h);
    for (int64_t j = 0; j < h; j++) hb[j] = 2 * hidden[steps * h + j];
    for (int64_t t = steps; t-- > 0;)
        for (int64_t j = 0; j < h; j++) {
            const double* g = &gates[(t * h + j) * 4];
            double cell = cells[(t + 1) * h + j], tc = std::tanh(cell), before = cells[t * h + j];
            double c_bar = cb[j] + hb[j] * g[2] * (1 - tc * tc);
            double zb[4];
            zb[0] = c_bar * g[3] * g[0] * (1 - g[0]);
            zb[1] = c_bar * before * g[1] * (1 - g[1]);
            zb[2] = hb[j] * tc * g[2] * (1 - g[2]);
            zb[3] = c_bar * g[0] * (1 - g[3] * g[3]);
            double s_bar = 0, x = xs[t * h + j];
            for (int q = 0; q < 4; q++) {
                gw[q * h + j] += zb[q] * x;
                s_bar += zb[q] * u[q * h + j];
            }
            cb[j] = c_bar * g[1];
            hb[j] = s_bar;
        }
    return value;
}

// The forward algorithm of a hidden Markov model with n states: transition [n][n], emission [n][m], by the transition.
double hmm_gradient(const double* a, const double* e, const int64_t* seen, int64_t steps, int64_t n, int64_t m, double* ga) {
    vector<double> alphas((steps + 1) * n), sums(steps + 1), p(n), bar(n), before(n);
    double value = 0;
    for (int64_t i = 0; i < n; i++) alphas[i] = 1.0 / n;
    for (int64_t t = 0; t < steps; t++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) {
            double q = 0;
            for (int64_t i = 0; i < n; i++) q += alphas[t * n + i] * a[i * n + j];
            p[j] = q * e[j * m + seen[t]];
            sum += p[j];
        }
        sums[t] = sum;
        value += std::log(sum);
        for (int64_t j = 0; j < n; j++) alphas[(t + 1) * n + j] = p[j] / sum;
    }
    std::memset(ga, 0, sizeof(double) * n * n);
    for (int64_t t = steps; t-- > 0;) {
        double dot = 0;
        for (int64_t j = 0; j < n; j++) dot += bar[j] * alphas[(t + 1) * n + j];
        for (int64_t j = 0; j < n; j++) p[j] = (bar[j] - dot + 1) / sums[t] * e[j * m + seen[t]];
        for (int64_t i = 0; i < n; i++) {
            double total = 0;
            for (int64_t j = 0; j < n; j++) {
                ga[i * n + j] += alphas[t * n + i] * p[j];
                total += a[i * n + j] * p[j];
            }
            before[i] = total;
        }
        bar = before;
    }
    return value;
}

// Newton's square root, until it stands still to 1e-14.
double newton_gradient(double a, double* g) {
    double tape[64], x = a;
    int n = 0;
    while (std::fabs(x * x - a) > 1e-14 * a) {
        tape[n++] = x;
        x = 0.5 * (x + a / x);
    }
    double bar = 1, total = 0;
    while (n-- > 0) {
        double y = tape[n];
        total += 0.5 * bar / y;
        bar = 0.5 * bar * (1 - a / (y * y));
    }
    *g = total + bar;
    return x;
}

// Bisection of x^3 + p x = q with a way out in the middle: the root by its last secant, so that it has a slope.
double bisection_gradient(double p, double q, double* g) {
    double low = 0, high = 4;
    for (int i = 0; i < 100; i++) {
        double middle = 0.5 * (low + high), f = middle * middle * middle + p * middle - q;
        if (high - low < 1e-9) break;
        if (f > 0) high = middle;
        else low = middle;
    }
    double x = 0.5 * (low + high), f = x * x * x + p * x - q, slope = 3 * x * x + p;
    g[0] = -x / slope + f / (slope * slope);
    g[1] = 1 / slope;
    return x - f / slope;
}

// A Kalman filter of four states and one measurement: minus twice the log likelihood, by the variance of the process.
constexpr int K = 4;

static void times(const double* x, const double* y, double* out) {
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) {
            double total = 0;
            for (int q = 0; q < K; q++) total += x[i * K + q] * y[q * K + j];
            out[i * K + j] = total;
        }
}

static void turned(const double* x, double* out) {
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) out[i * K + j] = x[j * K + i];
}

double kalman_gradient(const double* f, const double* seen, int64_t steps, double q, double r, double* g) {
    // Per step: the state and covariance that it starts from.
    vector<double> xs((steps + 1) * K), ps((steps + 1) * K * K);
    double ft[K * K], t[K * K], p[K * K], x[K];
    turned(f, ft);
    for (int i = 0; i < K; i++) ps[i * K + i] = 1;
    double value = 0;
    for (int64_t n = 0; n < steps; n++) {
        const double* x0 = &xs[n * K];
        times(f, &ps[n * K * K], t);
        times(t, ft, p);
        for (int i = 0; i < K; i++) {
            p[i * K + i] += q;
            x[i] = 0;
            for (int j = 0; j < K; j++) x[i] += f[i * K + j] * x0[j];
        }
        double s = p[0] + r, e = seen[n] - x[0];
        value += std::log(s) + e * e / s;
        for (int i = 0; i < K; i++) {
            double gain = p[i * K] / s;
            xs[(n + 1) * K + i] = x[i] + gain * e;
            for (int j = 0; j < K; j++) ps[(n + 1) * K * K + i * K + j] = p[i * K + j] - gain * p[j];
        }
    }
    double xb[K] = {0}, pb[K * K] = {0}, qb = 0, rb = 0;
    for (int64_t n = steps; n-- > 0;) {
        const double* x0 = &xs[n * K];
        times(f, &ps[n * K * K], t);
        times(t, ft, p);
        for (int i = 0; i < K; i++) {
            p[i * K + i] += q;
            x[i] = 0;
            for (int j = 0; j < K; j++) x[i] += f[i * K + j] * x0[j];
        }
        double s = p[0] + r, e = seen[n] - x[0];
        double p_bar[K * K], x_bar[K], s_bar = 1 / s - e * e / (s * s), e_bar = 2 * e / s;
        std::memcpy(p_bar, pb, sizeof p_bar);
        std::memcpy(x_bar, xb, sizeof x_bar);
        for (int i = 0; i < K; i++) {
            double gain = p[i * K] / s, gain_bar = xb[i] * e;
            e_bar += xb[i] * gain;
            for (int j = 0; j < K; j++) {
                gain_bar -= pb[i * K + j] * p[j];
                p_bar[j] -= pb[i * K + j] * gain;
            }
            p_bar[i * K] += gain_bar / s;
            s_bar -= gain_bar * gain / s;
        }
        p_bar[0] += s_bar;
        rb += s_bar;
        x_bar[0] -= e_bar;
        for (int i = 0; i < K; i++) qb += p_bar[i * K + i];
        for (int j = 0; j < K; j++) {
            xb[j] = 0;
            for (int i = 0; i < K; i++) xb[j] += f[i * K + j] * x_bar[i];
        }
        times(ft, p_bar, t);
        times(t, f, pb);
    }
    g[0] = qb, g[1] = rb;
    return value;
}

// A determinant by expansion along the first row; its gradient is the matrix of cofactors, by expansion too.
static double expand(const double* m, int n) {
    if (n == 1) return m[0];
    double minor[64], total = 0, sign = 1;
    for (int j = 0; j < n; j++, sign = -sign) {
        for (int r = 1; r < n; r++)
            for (int c = 0, k = 0; c < n; c++)
                if (c != j) minor[(r - 1) * (n - 1) + k++] = m[r * n + c];
        total += sign * m[j] * expand(minor, n - 1);
    }
    return total;
}

double determinant_gradient(const double* m, int64_t n, double* g) {
    double minor[64];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            int k = 0;
            for (int r = 0; r < n; r++)
                for (int c = 0; c < n; c++)
                    if (r != i && c != j) minor[k++] = m[r * n + c];
            g[i * n + j] = ((i + j) % 2 ? -1 : 1) * expand(minor, n - 1);
        }
    return expand(m, n);
}
}
