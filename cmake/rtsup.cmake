# What every folder uses: options, warnings, sanitizers and the three target helpers.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

option(RTSUP_WERROR "Treat warnings as errors" OFF)
option(RTSUP_HARDENING "Hardening flags for what is shipped" OFF)
option(RTSUP_COVERAGE "Instrument for gcov" OFF)
option(RTSUP_FUZZ "The fuzz targets of tests/fuzz (needs clang)" OFF)
set(RTSUP_SANITIZE "" CACHE STRING "Sanitizers, as given to -fsanitize=")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
# One bin, lib and share below the build folder, laid out as after installation: daemons and data are found
# relative to the rtsup binary, so the build tree runs as it is.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(RTSUP_TEST_BIN_DIR ${PROJECT_BINARY_DIR}/test-bin)

find_program(RTSUP_CCACHE ccache)
if(RTSUP_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${RTSUP_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${RTSUP_CCACHE})
endif()

find_package(PkgConfig REQUIRED)
find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
enable_testing()
include(GoogleTest)

# The top of the tree is searched for "..." only: with -I, <sys/socket.h> would find ours instead of libc's.
set(RTSUP_INCLUDE_TOP -iquote${PROJECT_SOURCE_DIR})

# What every target compiles with, as an interface target so that nothing is global.
add_library(rtsup_options INTERFACE)
target_compile_options(rtsup_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
  -Wnon-virtual-dtor -Wimplicit-fallthrough -fno-omit-frame-pointer)
# GCC 12 warns of overlapping copies inside std::string's operator+ where there are none (GCC bug 105651).
target_compile_options(rtsup_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(RTSUP_WERROR)
  target_compile_options(rtsup_options INTERFACE -Werror)
endif()
if(RTSUP_HARDENING)
  target_compile_options(rtsup_options INTERFACE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
    -fstack-clash-protection -fcf-protection)
  target_link_options(rtsup_options INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
if(RTSUP_COVERAGE)
  target_compile_options(rtsup_options INTERFACE --coverage)
  target_link_options(rtsup_options INTERFACE --coverage)
endif()

# Sanitizers apart: what runs inside a worker's sandbox stays uninstrumented (UNINSTRUMENTED below), because a
# sanitizer's run time makes system calls that no policy grants.
add_library(rtsup_sanitize INTERFACE)
if(RTSUP_SANITIZE)
  target_compile_options(rtsup_sanitize INTERFACE -fsanitize=${RTSUP_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(rtsup_sanitize INTERFACE -fsanitize=${RTSUP_SANITIZE})
endif()

include(profile)

# rtsup_add_library(name SOURCES ... [PUBLIC deps...] [PRIVATE deps...] [UNINSTRUMENTED] [TRAINED])
# A static library rtsup_NAME with alias rtsup::NAME. Includes are written from the top of the tree: "abi/base/error.h".
function(rtsup_add_library name)
  cmake_parse_arguments(ARG "UNINSTRUMENTED;TRAINED" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(rtsup_${name} STATIC ${ARG_SOURCES})
  add_library(rtsup::${name} ALIAS rtsup_${name})
  target_compile_options(rtsup_${name} PUBLIC ${RTSUP_INCLUDE_TOP})
  target_link_libraries(rtsup_${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} rtsup_options)
  if(NOT ARG_UNINSTRUMENTED)
    target_link_libraries(rtsup_${name} PRIVATE rtsup_sanitize)
  endif()
  if(ARG_TRAINED)
    target_link_libraries(rtsup_${name} PRIVATE rtsup_trained)
  endif()
endfunction()

# rtsup_add_program(name SOURCES ... [LINK deps...] [UNINSTRUMENTED] [LIBEXEC])
# LIBEXEC: a daemon that rtsup starts itself; it lives in libexec/rtsup, in the build tree as after installation.
function(rtsup_add_program name)
  cmake_parse_arguments(ARG "UNINSTRUMENTED;LIBEXEC" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${RTSUP_INCLUDE_TOP})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} rtsup_options)
  if(NOT ARG_UNINSTRUMENTED)
    target_link_libraries(${name} PRIVATE rtsup_sanitize)
  endif()
  if(ARG_LIBEXEC)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/libexec/rtsup)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/rtsup)
  endif()
endfunction()

# The suites, which are ctest labels. Target suite-LABEL builds what a suite needs and no more.
#   unit         one piece, in one process            channel      both ends of the channel, as threads of one process
#   hostile      bytes and workers that mean harm     integration  real processes, the base as a whole
#   compat       what was built against older headers install      the installed tree, from outside
#   lint         rules on the text                    fuzz         libFuzzer, in preset fuzz only
foreach(label unit channel hostile integration shards compat install lint fuzz)
  add_custom_target(suite-${label})
endforeach()
function(rtsup_in_suite labels)
  foreach(label ${labels})
    if(NOT TARGET suite-${label})
      message(FATAL_ERROR "no suite is called ${label}; see the list above rtsup_in_suite in cmake/rtsup.cmake")
    endif()
    add_dependencies(suite-${label} ${ARGN})
  endforeach()
endfunction()

# rtsup_add_test(name SOURCES ... [LINK deps...] [LABELS ...] [DEPENDS programs...] [SERIAL] [SHARDED] [ENVIRONMENT ...] [TIMEOUT s])
# One gtest program; each of its cases is a ctest case. Labels name the suites: unit, channel, hostile, integration, ...
# DEPENDS: targets that the test starts or loads. SHARDED: once more in suite `shards`, with bases of two shards.
function(rtsup_add_test name)
  cmake_parse_arguments(ARG "SERIAL;SHARDED" "TIMEOUT" "SOURCES;LINK;LABELS;ENVIRONMENT;DEPENDS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${RTSUP_TEST_BIN_DIR})
  if(RTSUP_PROFILE STREQUAL "use")  # as tests/ as a whole
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
  endif()
  target_compile_options(${name} PRIVATE ${RTSUP_INCLUDE_TOP})
  target_compile_definitions(${name} PRIVATE RTSUP_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    RTSUP_BUILD_DIR="${PROJECT_BINARY_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gtest GTest::gmock GTest::gtest_main rtsup_options
    rtsup_sanitize)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  rtsup_in_suite("${ARG_LABELS}" ${name})
  # The discovery script flattens lists once: escaped, several labels arrive as one value.
  string(REPLACE ";" "\\;" labels "${ARG_LABELS}")
  set(properties LABELS "${labels}" TIMEOUT ${ARG_TIMEOUT} SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
  if(ARG_SERIAL)
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  if(ARG_ENVIRONMENT)
    list(APPEND properties ENVIRONMENT "${ARG_ENVIRONMENT}")
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES ${properties})
  if(ARG_SHARDED)
    rtsup_in_suite(shards ${name})
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX shards. TEST_LIST ${name}_SHARDED
      PROPERTIES LABELS shards TIMEOUT ${ARG_TIMEOUT} SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]" RUN_SERIAL TRUE
        ENVIRONMENT RTSUP_TEST_SHARDS=2)
  endif()
endfunction()
