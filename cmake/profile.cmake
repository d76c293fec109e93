# Profile-guided optimisation of what lies on the way of a call (docs/adr/0022). A library that is TRAINED links
# rtsup_trained.
#   use    (preset release) this build first makes a second one below it, `training`, and compiles with its profile
#   write  (what that second build is given) what is built here counts, and the target `profile` runs it
# Empty: as the compiler guesses. What a profile knows nothing of is compiled as without one (partial-training).
set(RTSUP_PROFILE "" CACHE STRING "Profile-guided optimisation: empty, use or write")
set_property(CACHE RTSUP_PROFILE PROPERTY STRINGS "" use write)

add_library(rtsup_trained INTERFACE)
if(RTSUP_PROFILE AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  message(FATAL_ERROR "RTSUP_PROFILE needs GCC; leave it empty for ${CMAKE_CXX_COMPILER_ID}")
endif()

if(RTSUP_PROFILE STREQUAL "write")
  set(rtsup_profile ${PROJECT_BINARY_DIR}/profile)
  # atomic: both ends run as threads of one process.
  target_compile_options(rtsup_trained INTERFACE -fprofile-generate=${rtsup_profile} -fprofile-update=atomic
    -fprofile-prefix-path=${PROJECT_BINARY_DIR})
  target_link_options(rtsup_trained INTERFACE -fprofile-generate)
  add_custom_command(OUTPUT ${rtsup_profile}/stamp
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${rtsup_profile}
    COMMAND timeout 300 $<TARGET_FILE:rtsup-bench-percall> mix 1 100000
    COMMAND timeout 300 $<TARGET_FILE:rtsup-bench-percall> mix 32 100000
    COMMAND ${CMAKE_COMMAND} -E touch ${rtsup_profile}/stamp
    DEPENDS rtsup-bench-percall COMMENT "Training" VERBATIM)
  add_custom_target(profile DEPENDS ${rtsup_profile}/stamp)
elseif(RTSUP_PROFILE STREQUAL "use")
  include(ExternalProject)
  # Without link-time optimisation: the profile is written, and read, before it.
  ExternalProject_Add(rtsup_training
    SOURCE_DIR ${PROJECT_SOURCE_DIR}
    BINARY_DIR ${PROJECT_BINARY_DIR}/training
    PREFIX ${PROJECT_BINARY_DIR}/training/project
    CMAKE_CACHE_ARGS  # lists stay lists
      -DRTSUP_PROFILE:STRING=write
      -DRTSUP_HARDENING:BOOL=${RTSUP_HARDENING}
      -DCMAKE_BUILD_TYPE:STRING=${CMAKE_BUILD_TYPE}
      -DCMAKE_C_COMPILER:FILEPATH=${CMAKE_C_COMPILER}
      -DCMAKE_CXX_COMPILER:FILEPATH=${CMAKE_CXX_COMPILER}
      -DCMAKE_CXX_FLAGS:STRING=${CMAKE_CXX_FLAGS}
      -DCMAKE_CXX_FLAGS_RELEASE:STRING=${CMAKE_CXX_FLAGS_RELEASE}
      -DCMAKE_PREFIX_PATH:STRING=${CMAKE_PREFIX_PATH}
      -DCMAKE_TOOLCHAIN_FILE:FILEPATH=${CMAKE_TOOLCHAIN_FILE}
    BUILD_COMMAND ${CMAKE_COMMAND} --build <BINARY_DIR> --target profile
    BUILD_ALWAYS ON
    INSTALL_COMMAND ""
    USES_TERMINAL_BUILD ON)
  # A profile that is older than a function is left aside for that function: what it counted is not what is there. It
  # differs from run to run, and so does what GCC warns of behind it: that must not fail a build.
  target_compile_options(rtsup_trained INTERFACE -fprofile-use=${PROJECT_BINARY_DIR}/training/profile
    -fprofile-partial-training -fprofile-prefix-path=${PROJECT_BINARY_DIR} -Wno-missing-profile -Wno-coverage-mismatch
    -Wno-error)
  add_dependencies(rtsup_trained rtsup_training)
elseif(RTSUP_PROFILE)
  message(FATAL_ERROR "RTSUP_PROFILE is ${RTSUP_PROFILE}; it can be empty, use or write")
endif()
