#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job (main_job_test.py) under a Wayland compositor, on a desktop scaled to 125 %."""
import os
import runpy

os.environ['LODGE_JOB_WAYLAND'] = '1'
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'main_job_test.py'), run_name='__main__')
