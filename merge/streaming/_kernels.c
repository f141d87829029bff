/* The weighted sum of tensors in one pass over memory.
 *
 * It computes what the numpy path computes, operation for operation: convert exactly, multiply, then add, in the
 * order of the models and in float32 (float64 for float32 inputs), round once to nearest even. So both give the
 * same bytes, and a machine without a compiler only loses speed. Contraction of multiply and add must stay off.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define STRIP 1024 /* elements whose sums stay in the first-level cache */
#define MOST_INPUTS 64

typedef struct {
    const void *data[MOST_INPUTS];
    double weights[MOST_INPUTS];
    const void *base; /* subtracted from every input and added to the sum; NULL where there is none */
    int count;
} Inputs;

#define NAMED(name) name##_any
#include "_sums.h"
#undef NAMED

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CHOOSES
#pragma GCC push_options
#pragma GCC target("arch=haswell")
#define NAMED(name) name##_avx2
#include "_sums.h"
#undef NAMED
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=skylake-avx512")
#define NAMED(name) name##_avx512
#include "_sums.h"
#undef NAMED
#pragma GCC pop_options
#endif

#define DISPATCH(set) \
    if (!strcmp(dtype, "BF16")) return sum_bfloat16##set(in, out, nbytes / 2); \
    if (!strcmp(dtype, "F16")) return sum_float16##set(in, out, nbytes / 2); \
    return sum_float32##set(in, out, nbytes / 4);

/* `level` bounds the instruction set, so that tests can compare all of them: 0 any processor, 1 AVX2, 2 AVX-512. */
static int run(const char *dtype, const Inputs *in, void *out, size_t nbytes, int level) {
#ifdef CHOOSES
    if (level > 1 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        DISPATCH(_avx512)
    }
    if (level > 0 && __builtin_cpu_supports("avx2")) {
        DISPATCH(_avx2)
    }
#else
    (void)level;
#endif
    DISPATCH(_any)
}

static PyObject *weighted_sum(PyObject *module, PyObject *arguments) {
    const char *dtype;
    PyObject *buffers, *weights, *origin = Py_None;
    Py_buffer out, base = {.buf = NULL}, views[MOST_INPUTS];
    Inputs in = {.count = 0};
    int finite = 0, opened = 0, level = 2;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sO!O!w*|Oi", &dtype, &PyTuple_Type, &buffers, &PyTuple_Type, &weights, &out,
                          &origin, &level))
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(buffers);
    int known = !strcmp(dtype, "BF16") || !strcmp(dtype, "F16") || !strcmp(dtype, "F32");
    if (!known || count < 1 || count > MOST_INPUTS || PyTuple_GET_SIZE(weights) != count)
        PyErr_SetString(PyExc_ValueError, "weighted_sum takes BF16, F16 or F32 and 1 to 64 inputs, a weight for each");
    while (!PyErr_Occurred() && opened < count) {
        in.weights[opened] = PyFloat_AsDouble(PyTuple_GET_ITEM(weights, opened));
        if (PyErr_Occurred() || PyObject_GetBuffer(PyTuple_GET_ITEM(buffers, opened), &views[opened], PyBUF_SIMPLE))
            break;
        in.data[opened] = views[opened].buf;
        if (views[opened++].len != out.len)
            PyErr_SetString(PyExc_ValueError, "all buffers must have one length");
    }
    if (!PyErr_Occurred() && origin != Py_None && !PyObject_GetBuffer(origin, &base, PyBUF_SIMPLE) &&
        base.len != out.len)
        PyErr_SetString(PyExc_ValueError, "all buffers must have one length");
    if (!PyErr_Occurred()) {
        in.count = (int)count;
        in.base = base.buf;
        Py_BEGIN_ALLOW_THREADS
        finite = run(dtype, &in, out.buf, (size_t)out.len, level);
        Py_END_ALLOW_THREADS
    }
    while (opened) PyBuffer_Release(&views[--opened]);
    if (base.buf) PyBuffer_Release(&base);
    PyBuffer_Release(&out);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(finite);
}

static PyMethodDef methods[] = {
    {"weighted_sum", weighted_sum, METH_VARARGS,
     "weighted_sum(dtype, buffers, weights, out, base=None, level=2): write the sum; tell whether all of it was finite."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kernels", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModule_Create(&definition); }
